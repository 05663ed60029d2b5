"""The science archive: frames and their files, who may see them, where on the sky they are."""

"""What every module stands on. Imports no module of ocs."""

"""What all routers share: routes, types on the wire, pages, filters, middleware."""

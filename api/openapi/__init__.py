"""The OpenAPI 3.1 document of the API. `document.build` makes it from the route table, and `served` serves it."""

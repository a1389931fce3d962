"""The OpenAPI 3.1 document of the API: `document.build` makes it of the route table, `served` answers with it."""

"""`fulgurite report`: runs as one page that needs nothing beside it."""

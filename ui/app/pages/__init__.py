"""The pages of the app: one module a place, with a function `page`."""

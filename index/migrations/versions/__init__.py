"""The revisions of the schema, a file each; `index.migrations` says how they are used."""

"""The revisions of the schema, a file each; `index.storage.migrations` says how they are used."""

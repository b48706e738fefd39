"""Beyond one machine, on existing engines: the extra `midikin[cluster]`.

Embedding on many machines is `shards` and `runners`; vectors beyond one machine are in `milvus`. Nothing of
it is imported by the rest of the package before it is asked for.
"""

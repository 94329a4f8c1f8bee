"""The tables of results, from configs, metafiles and finished tests."""

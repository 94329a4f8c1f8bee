"""Result tables from configs, metafiles and finished tests."""

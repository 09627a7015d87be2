"""Prepared data sets on disk: schema, shards, ledger, writer, reader."""

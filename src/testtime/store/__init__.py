"""Where things are kept: the journal, the Parquet files, the run folder, and the pool in memory."""

"""What kernel families share: layers as numbers, tables as words, sums of two bytes."""

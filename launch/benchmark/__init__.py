"""Benchmarks: agents on the tasks of a suite, run one by one with several seeds, and a report of them."""

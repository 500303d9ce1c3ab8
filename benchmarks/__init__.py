"""Commands that measure: their figures are in `results/`, their last tables in docs/benchmarks.md."""

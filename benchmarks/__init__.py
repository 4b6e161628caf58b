"""Harnesses and measurements that print their figures; ``python -m benchmarks`` lists them."""

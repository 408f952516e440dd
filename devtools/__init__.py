"""Tools for tests, benchmarks and trying out; not in the wheel, and nothing in it imports them."""

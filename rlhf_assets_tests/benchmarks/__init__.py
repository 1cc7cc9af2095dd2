"""The parts of benchmarks that other figures rest on."""

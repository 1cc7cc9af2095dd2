"""The shipped demo: climate-economy questions, sampled answers, simulated raters with a known taste."""

"""What the flows need of the outside, as narrow Protocols."""

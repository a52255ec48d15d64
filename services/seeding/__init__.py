"""The demo organization of `nudge dev`."""

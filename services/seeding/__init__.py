"""The demo organisation of `nudge dev`."""

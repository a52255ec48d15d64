"""The filters of templates: `registry` has them all, with their bounds."""

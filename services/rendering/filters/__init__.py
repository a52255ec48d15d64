"""The filters of templates; `registry` has all of them, with limits."""

"""One question a script: each module measures flat rows and renders a section from stored rows only."""

"""The git work tree, asked through the `git` command; nothing that the repository carries is executed."""

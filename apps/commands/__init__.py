"""The subcommands of `fewview`: each a module with `parse(argv) -> Arguments` and `main(Arguments) -> int`."""

package main

// A reactor has no main: _initialize returns and the exports stay callable.
func main() {}

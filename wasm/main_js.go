package main

// Under GOOS=js a program whose main returns is gone, so this one stays.
func main() { select {} }

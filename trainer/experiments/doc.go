// Package experiments makes the tables of docs/results.md: it trains what they
// list, evaluates it, and prints them. Every run is a folder, made by the trainer
// as the command line would make it; what is there is not done again, and a run
// that was stopped resumes.
package experiments

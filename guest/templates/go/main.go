package main

import (
	"bytes"
	"strconv"

	"job/inos"
)

// Counts the words of the input.
func main() {
	words := len(bytes.Fields(inos.Input()))
	inos.Output([]byte(strconv.Itoa(words) + "\n"))
}

// Package inos is the native interface of INOS for Go 1.21 and later: GOOS=wasip1 GOARCH=wasm go build.
//
// A Go program is a WASI command, so os.Stdin and os.Stdout work as well: they are the same input and the same
// result. This package does without the detour through file descriptors. The exit code is that of os.Exit.
package inos

import "unsafe"

//go:wasmimport inos input_size
func inputSize() uint32

//go:wasmimport inos input_read
func inputRead(to unsafe.Pointer, offset, length uint32) int32

//go:wasmimport inos output_write
func outputWrite(from unsafe.Pointer, length uint32) int32

//go:wasmimport inos log
func logWrite(text unsafe.Pointer, length uint32)

// InputSize is the number of bytes of the input.
func InputSize() int { return int(inputSize()) }

// InputRead copies input from offset on: bytes copied, fewer than len(to) only at the end of the input.
func InputRead(offset int, to []byte) int {
	return int(inputRead(unsafe.Pointer(unsafe.SliceData(to)), uint32(offset), uint32(len(to))))
}

// Input is the whole input.
func Input() []byte {
	bytes := make([]byte, InputSize())
	return bytes[:InputRead(0, bytes)]
}

// Output appends to the result.
func Output(bytes []byte) {
	outputWrite(unsafe.Pointer(unsafe.SliceData(bytes)), uint32(len(bytes)))
}

// Log keeps a line for whoever runs the job, on stderr and outside of any proof; 64 KiB are kept.
func Log(text string) {
	logWrite(unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

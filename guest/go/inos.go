// Package inos is the native interface of INOS for Go 1.21 and later: GOOS=wasip1 GOARCH=wasm go build.
//
// A Go program is a WASI command, so os.Stdin and os.Stdout work as well: they are the same input and the same
// result. This package does without the detour through file descriptors. The exit code is that of os.Exit.
package inos

import (
	"encoding/binary"
	"runtime"
	"unsafe"
)

//go:wasmimport inos input_size
func inputSize() uint32

//go:wasmimport inos input_read
func inputRead(to unsafe.Pointer, offset, length uint32) int32

//go:wasmimport inos output_write
func outputWrite(from unsafe.Pointer, length uint32) int32

//go:wasmimport inos log
func logWrite(text unsafe.Pointer, length uint32)

//go:wasmimport inos compute
func compute(spec unsafe.Pointer, length uint32) int32

//go:wasmimport inos result_size
func resultSize(handle int32) int32

//go:wasmimport inos result_exit
func resultExit(handle int32) int32

//go:wasmimport inos result_read
func resultRead(handle int32, to unsafe.Pointer, offset, length uint32) int32

//go:wasmimport inos result_drop
func resultDrop(handle int32) int32

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

const specBytes = 56

// Child is other WASM, computed anywhere. What it gets is carved from what this guest has; what it does not burn comes
// back when it is waited for. Zero or empty is the default, of everything but FuelMax.
type Child struct {
	// Module is the CID of a module as text, which the job's caller hands over; empty: this module itself.
	Module string
	Input  []byte
	// Entry is an exported function; empty: _start, else run.
	Entry string
	Args  []string
	// FuelMax it may burn, with all below it.
	FuelMax uint64
	// MemoryPagesMax is 0 for as many as this guest may have.
	MemoryPagesMax uint32
	// OutputBytesMax is 0 for 64 KiB.
	OutputBytesMax uint32
	// DescendantsMax are the children it may have in turn, and they again, all together.
	DescendantsMax uint32
}

// Handle is a child that was started.
type Handle int32

// Start does not wait. A handle below zero says why not, as inos.h lists it. Costs 1,000,000 fuel and the copying of its input.
func (child Child) Start() Handle {
	var args []byte
	for _, arg := range child.Args {
		args = append(append(args, arg...), 0)
	}
	parts := [][]byte{[]byte(child.Module), child.Input, []byte(child.Entry), args}
	size := specBytes
	for _, part := range parts {
		size += len(part)
	}
	// The spec and all it points to in one piece of the heap, which does not move as a stack does.
	spec := make([]byte, specBytes, size)
	base := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(spec))))
	for at, part := range parts {
		binary.LittleEndian.PutUint32(spec[8*at:], base+uint32(len(spec)))
		binary.LittleEndian.PutUint32(spec[8*at+4:], uint32(len(part)))
		spec = append(spec, part...)
	}
	binary.LittleEndian.PutUint64(spec[32:], child.FuelMax)
	binary.LittleEndian.PutUint32(spec[40:], child.MemoryPagesMax)
	binary.LittleEndian.PutUint32(spec[44:], child.OutputBytesMax)
	binary.LittleEndian.PutUint32(spec[48:], child.DescendantsMax)
	handle := compute(unsafe.Pointer(unsafe.SliceData(spec)), specBytes)
	runtime.KeepAlive(spec)
	return Handle(handle)
}

// ExitCode waits: the exit code, or below zero how it ended.
func (handle Handle) ExitCode() int { return int(resultExit(int32(handle))) }

// Result waits: the result, whose room is given back; nil where it did not end by itself.
func (handle Handle) Result() []byte {
	size := resultSize(int32(handle))
	if size < 0 {
		return nil
	}
	bytes := make([]byte, size)
	resultRead(int32(handle), unsafe.Pointer(unsafe.SliceData(bytes)), 0, uint32(size))
	resultDrop(int32(handle))
	return bytes
}

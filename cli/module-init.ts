/** `inos module init`: a small project that builds and runs, from the templates in `guest/`. */
import { access, copyFile, mkdir, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { Command } from 'commander'
import { InosError } from '../src/packet/errors.ts'
import { addJson, type CommonOptions, type Context, examples, read } from './command.ts'
import { writable } from './files.ts'
import { plain } from './output.ts'
import { guestFile } from './guest-files.ts'

/** The file of the interface to the node, in `guest/` and in a project. */
const LANGUAGES = {
  c: { from: 'c/inos.h', to: 'inos.h' },
  rust: { from: 'rust/inos.rs', to: 'src/inos.rs' },
  as: { from: 'assemblyscript/inos.ts', to: 'inos.ts' },
  go: { from: 'go/inos.go', to: 'inos/inos.go' }
} as const

type Language = keyof typeof LANGUAGES
interface InitOptions extends CommonOptions { lang: Language }

const BUILD = 'sh build.sh'
const RUN = 'inos run job.wasm'

export function addInit (family: Command, context: Context): void {
  const init = family.command('init').description('write a small project that builds and runs')
    .argument('[dir]', 'where to; nothing that exists is overwritten', '.')
    .requiredOption('--lang <language>', 'c, rust, as (AssemblyScript) or go', read(parseLanguage))
  addJson(init)
  examples(init, [
    ['inos module init --lang c count && cd count && sh build.sh', 'a word counter in C, ready to run'],
    ['echo one two three | inos run count/job.wasm', 'prints 3']
  ])
  init.action(async (dir: string, options: InitOptions) => { context.finish(await writeProject(dir, options, context)) })
}

function parseLanguage (text: string): Language {
  if (!Object.hasOwn(LANGUAGES, text)) throw new InosError('ERR_USAGE', `${text} is none of ${Object.keys(LANGUAGES).join(', ')}.`)
  return text as Language
}

async function writeProject (dir: string, { lang, json }: InitOptions, { output }: Context): Promise<number> {
  const template = await guestFile(`templates/${lang}`)
  const entries = await readdir(template, { recursive: true, withFileTypes: true })
  const { from, to } = LANGUAGES[lang]
  const files = new Map(entries.filter(entry => entry.isFile()).map(entry => {
    const file = join(entry.parentPath, entry.name)
    return [relative(template, file), file] as const
  }))
  files.set(join(...to.split('/')), await guestFile(from))
  const names = [...files.keys()].sort()
  for (const name of names) await refuseExisting(join(dir, name))
  for (const name of names) {
    const target = join(dir, name)
    await writable(target, async () => {
      await mkdir(dirname(target), { recursive: true })
      await copyFile(files.get(name)!, target)
    })
  }
  if (json === true) await output.json({ lang, dir, files: names, build: BUILD, run: RUN })
  else await output.write(`${names.map(name => plain(join(dir, name))).join('\n')}\n`)
  output.say(`next: ${dir === '.' ? '' : `cd ${plain(dir)} && `}${BUILD} && echo one two three | ${RUN}`)
  return 0
}

async function refuseExisting (file: string): Promise<void> {
  const exists = await access(file).then(() => true, () => false)
  if (exists) throw new InosError('ERR_USAGE', `${file} exists already.`, { hint: 'Name a folder that does not exist yet, or move the file away.' })
}

/**
 * What is there to see: marbles on a polished floor under a low sun. All of it follows from the
 * seed: where the marbles lie, what they are made of, the palette, the camera.
 */
import { begin, between, next } from './random'

/** What a marble is made of. */
export const PORCELAIN: i32 = 0
export const METAL: i32 = 1
export const GLASS: i32 = 2

const MARBLES_MAX: i32 = 56
/** Marbles lie within this distance of the middle, beside one great one in it. */
const FIELD: f64 = 4.4
const RADIUS_MIN: f64 = 0.13
const RADIUS_MAX: f64 = 0.62

/** One marble: plain memory rather than objects, for speed. */
export class Marble {
  x: f64 = 0.0
  y: f64 = 0.0
  z: f64 = 0.0
  radius: f64 = 0.0
  red: f64 = 0.0
  green: f64 = 0.0
  blue: f64 = 0.0
  stuff: i32 = PORCELAIN
}

export const marbles = new StaticArray<Marble>(MARBLES_MAX)
export let marbleCount: i32 = 0

/** Direction to the sun, a unit vector. */
export let sunX: f64 = 0.0
export let sunY: f64 = 0.0
export let sunZ: f64 = 0.0
/** Angle of the camera around the scene, radians. */
export let azimuth: f64 = 0.0
/** Colours of the sky: overhead, at the horizon, and of the sun. */
export const zenith = new StaticArray<f64>(3)
export const horizon = new StaticArray<f64>(3)
export const sunlight = new StaticArray<f64>(3)

/** Hue of the palette's first colour, 0 … 1; the others lie around it. */
let hue: f64 = 0.0
/** What `paint` answers. */
const painted = new StaticArray<f64>(3)

export function build (seed: u32): void {
  begin(seed, 0x5ce7e, 0)
  hue = next()
  light()
  marbleCount = 0
  place(0.0, 0.0, 1.25, next() < 0.6 ? METAL : GLASS)
  for (let attempt = 0; attempt < 900 && marbleCount < MARBLES_MAX; attempt++) scatterOne(attempt)
}

/** Sun and sky: from rose over gold to a cold morning, and always dark enough for the sun to glow. */
function light (): void {
  azimuth = between(0.0, 2.0 * Math.PI)
  const around = azimuth + (next() < 0.5 ? 1.0 : -1.0) * between(0.75, 1.35)
  const height = between(0.3, 0.5)
  const flat = Math.sqrt(1.0 - height * height)
  sunX = NativeMath.sin(around) * flat
  sunY = height
  sunZ = NativeMath.cos(around) * flat
  const warmth = next()
  set(zenith, 0.03 + 0.12 * warmth, 0.10, 0.34 - 0.06 * warmth)
  set(horizon, 0.46 + 0.44 * warmth, 0.50 - 0.08 * warmth, 0.66 - 0.32 * warmth)
  set(sunlight, 3.3, 2.7 - 0.5 * warmth, 2.1 - 0.95 * warmth)
}

function set (colour: StaticArray<f64>, red: f64, green: f64, blue: f64): void {
  unchecked(colour[0] = red)
  unchecked(colour[1] = green)
  unchecked(colour[2] = blue)
}

/** Try one place at random; a marble there grows until it nearly touches its nearest neighbour. */
function scatterOne (attempt: i32): void {
  const angle = between(0.0, 2.0 * Math.PI)
  const distance = FIELD * Math.sqrt(next())
  const x = NativeMath.cos(angle) * distance
  const z = NativeMath.sin(angle) * distance
  const stuff = pick(next())
  // The first ones may be big, the later ones fill the gaps.
  let radius = attempt < 60 ? RADIUS_MAX : 0.3
  for (let i = 0; i < marbleCount; i++) {
    const other = unchecked(marbles[i])
    // Two spheres on a floor touch when the distance of their feet is 2·√(r₁·r₂).
    const dx = other.x - x
    const dz = other.z - z
    const gap = (dx * dx + dz * dz) / (4.4 * other.radius)
    if (gap < radius) radius = gap
  }
  if (radius >= RADIUS_MIN) place(x, z, radius, stuff)
}

function pick (chance: f64): i32 {
  if (chance < 0.58) return PORCELAIN
  return chance < 0.82 ? METAL : GLASS
}

function place (x: f64, z: f64, radius: f64, stuff: i32): void {
  const marble = new Marble()
  marble.x = x
  marble.y = radius
  marble.z = z
  marble.radius = radius
  marble.stuff = stuff
  paint(stuff, next(), next())
  marble.red = unchecked(painted[0])
  marble.green = unchecked(painted[1])
  marble.blue = unchecked(painted[2])
  unchecked(marbles[marbleCount] = marble)
  marbleCount++
}

/** Three families of hue, 0.09 apart and one opposite: few enough to look chosen. */
function paint (stuff: i32, family: f64, shade: f64): void {
  let tone = hue + 0.07 * (shade - 0.5)
  if (family > 0.75) tone += 0.5
  else if (family > 0.4) tone += 0.1
  if (stuff === METAL) {
    const gold = family > 0.5
    set(painted, 0.95, gold ? 0.74 : 0.92, gold ? 0.42 : 0.9)
  } else if (stuff === GLASS) {
    const tint = 0.1 * shade
    set(painted, 1.0 - tint * ramp(tone), 1.0 - tint * ramp(tone + 0.33), 1.0 - tint * ramp(tone + 0.67))
  } else {
    const dark = family > 0.2 ? 0.05 : 0.6
    const depth = 0.82 - dark
    set(painted, dark + depth * ramp(tone), dark + depth * ramp(tone + 0.33), dark + depth * ramp(tone + 0.67))
  }
}

/** One channel of a hue circle: 0 … 1, smooth. */
function ramp (turn: f64): f64 {
  const wave = 0.5 + 0.5 * NativeMath.cos(2.0 * Math.PI * turn)
  return wave * wave
}

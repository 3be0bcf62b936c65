/**
 * Rays: what one meets, how much sun and sky reach a point, and the colour that comes back along
 * a path. One path per sample: it never branches.
 */
import { spreadU, spreadV } from './random'
import { GLASS, horizon, marbleCount, marbles, PORCELAIN, sunlight, sunX, sunY, sunZ, zenith } from './scene'

const BOUNCES_MAX: i32 = 7
const FAR: f64 = 1e9
/** A ray starts this far from what it leaves, lest it meets it again. */
const SKIN: f64 = 1e-6
const GLASS_INDEX: f64 = 1.5
/** Radius of the sun's disc at distance 1; the real one is 0.005, a larger one softens the shadows. */
const SUN_RADIUS: f64 = 0.055
/** No marble reaches further from the origin: (√(4.4² + 0.62²) + 0.62)² and a little. */
const REACH_SQUARED: f64 = 29.0

/** The ray under way: origin and unit direction. */
let ox: f64 = 0.0
let oy: f64 = 0.0
let oz: f64 = 0.0
let dx: f64 = 0.0
let dy: f64 = 0.0
let dz: f64 = 0.0
/** What `meet` found: the distance, and the marble; −1 is the floor, −2 the sky. */
let distance: f64 = 0.0
let met: i32 = -2
/** What a path still carries, and what it has brought back. */
let carriedRed: f64 = 0.0
let carriedGreen: f64 = 0.0
let carriedBlue: f64 = 0.0
export let red: f64 = 0.0
export let green: f64 = 0.0
export let blue: f64 = 0.0

/** The colour seen from a point in a direction; answers in `red`, `green`, `blue`. */
export function trace (x: f64, y: f64, z: f64, towardX: f64, towardY: f64, towardZ: f64): void {
  ox = x
  oy = y
  oz = z
  dx = towardX
  dy = towardY
  dz = towardZ
  carriedRed = 1.0
  carriedGreen = 1.0
  carriedBlue = 1.0
  red = 0.0
  green = 0.0
  blue = 0.0
  for (let bounce = 0; bounce < BOUNCES_MAX; bounce++) {
    meet()
    if (met === -2) {
      addSky(bounce === 0)
      return
    }
    if (met === -1) bounceOffFloor()
    else bounceOffMarble(met)
    // What carries less than one step of a colour channel can't be seen.
    if (carriedRed + carriedGreen + carriedBlue < 0.02) return
  }
}

/** Whether the line of the ray passes the sphere all marbles lie in, at a point still ahead. */
function nearMarbles (x: f64, y: f64, z: f64, ux: f64, uy: f64, uz: f64): bool {
  const along = x * ux + y * uy + z * uz
  const beyond = x * x + y * y + z * z - REACH_SQUARED
  return beyond < 0.0 || (along < 0.0 && along * along > beyond)
}

/** Find the nearest thing ahead. */
function meet (): void {
  distance = FAR
  met = -2
  if (dy < -1e-9) {
    distance = -oy / dy
    met = -1
  }
  if (!nearMarbles(ox, oy, oz, dx, dy, dz)) return
  for (let i = 0; i < marbleCount; i++) {
    const marble = unchecked(marbles[i])
    const cx = marble.x - ox
    const cy = marble.y - oy
    const cz = marble.z - oz
    const along = cx * dx + cy * dy + cz * dz
    const outside = cx * cx + cy * cy + cz * cz - marble.radius * marble.radius
    const inside = along * along - outside
    if (inside <= 0.0) continue
    const half = Math.sqrt(inside)
    const near = along - half
    const t = near > SKIN ? near : along + half
    if (t > SKIN && t < distance) {
      distance = t
      met = i
    }
  }
}

/** Light that reaches a point from this sample's point of the sun; glass lets most through. */
function sunAt (x: f64, y: f64, z: f64): f64 {
  const flat = Math.sqrt(sunX * sunX + sunZ * sunZ)
  const sideways = SUN_RADIUS * (2.0 * spreadU - 1.0)
  const upwards = SUN_RADIUS * (2.0 * spreadV - 1.0)
  const ux = sunX + (sunZ * sideways - sunX * sunY * upwards) / flat
  const uy = sunY + flat * upwards
  const uz = sunZ - (sunX * sideways + sunZ * sunY * upwards) / flat
  if (!nearMarbles(x, y, z, ux, uy, uz)) return 1.0
  const length = ux * ux + uy * uy + uz * uz
  let light = 1.0
  for (let i = 0; i < marbleCount; i++) {
    const marble = unchecked(marbles[i])
    const cx = marble.x - x
    const cy = marble.y - y
    const cz = marble.z - z
    const along = cx * ux + cy * uy + cz * uz
    if (along <= 0.0) continue
    const outside = cx * cx + cy * cy + cz * cz - marble.radius * marble.radius
    const inside = along * along - outside * length
    if (inside <= 0.0) continue
    if (marble.stuff !== GLASS) return 0.0
    // Through the middle of glass the light is gathered, at its rim it is thrown aside.
    light *= 0.25 + 0.75 * inside / (marble.radius * marble.radius * length)
  }
  return light
}

/** The sky in a direction, times `share` of what the path carries. */
function addSkyLight (uy: f64, glow: f64, share: f64): void {
  const up = uy > 0.0 ? Math.sqrt(uy) : 0.0
  red += carriedRed * share * (unchecked(horizon[0]) + (unchecked(zenith[0]) - unchecked(horizon[0])) * up + unchecked(sunlight[0]) * glow)
  green += carriedGreen * share * (unchecked(horizon[1]) + (unchecked(zenith[1]) - unchecked(horizon[1])) * up + unchecked(sunlight[1]) * glow)
  blue += carriedBlue * share * (unchecked(horizon[2]) + (unchecked(zenith[2]) - unchecked(horizon[2])) * up + unchecked(sunlight[2]) * glow)
}

/** The sky as the ray sees it, with the sun's disc in reflections and its glow everywhere. */
function addSky (direct: bool): void {
  const toSun = dx * sunX + dy * sunY + dz * sunZ
  const near = toSun > 0.0 ? toSun * toSun : 0.0
  const near8 = near * near * near * near
  const near64 = near8 * near8 * near8 * near8 * near8 * near8 * near8 * near8
  let glow = 0.10 * near8 + 0.25 * near64
  glow += (direct ? 2.0 : 6.0) * disc(toSun)
  addSkyLight(dy, glow, 1.0)
}

/** How bright the sun's disc is at this cosine from its middle: soft at its edge, so that nine samples show it without specks. */
function disc (toSun: f64): f64 {
  const depth = (toSun - 0.9935) / 0.005
  if (depth <= 0.0) return 0.0
  return depth >= 1.0 ? 1.0 : depth * depth * (3.0 - 2.0 * depth)
}

/** How much of the sky the marbles hide from a point with this normal, 0 … 1 (each one's cosine-weighted disc). */
function openness (x: f64, y: f64, z: f64, nx: f64, ny: f64, nz: f64, self: i32): f64 {
  let open = 1.0
  for (let i = 0; i < marbleCount; i++) {
    if (i === self) continue
    const marble = unchecked(marbles[i])
    const cx = marble.x - x
    const cy = marble.y - y
    const cz = marble.z - z
    const square = cx * cx + cy * cy + cz * cz
    const reach = marble.radius * marble.radius / square
    if (reach < 0.004) continue
    const facing = (cx * nx + cy * ny + cz * nz) / Math.sqrt(square)
    if (facing <= -0.2) continue
    open *= 1.0 - reach * (facing + 0.2) * (marble.stuff === GLASS ? 0.35 : 0.8)
  }
  return open
}

/** Fresnel's reflectance in Schlick's form. */
function schlick (head: f64, cosine: f64): f64 {
  const grazing = 1.0 - cosine
  const square = grazing * grazing
  return head + (1.0 - head) * square * square * grazing
}

/** Dim what the path carries by a colour and a share. */
function dim (r: f64, g: f64, b: f64): void {
  carriedRed *= r
  carriedGreen *= g
  carriedBlue *= b
}

/** Add what a matte surface of this colour sends back. */
function addMatte (r: f64, g: f64, b: f64, sun: f64, sky: f64, skyTilt: f64, share: f64): void {
  const keptRed = carriedRed
  const keptGreen = carriedGreen
  const keptBlue = carriedBlue
  dim(r * share, g * share, b * share)
  red += carriedRed * unchecked(sunlight[0]) * sun
  green += carriedGreen * unchecked(sunlight[1]) * sun
  blue += carriedBlue * unchecked(sunlight[2]) * sun
  addSkyLight(skyTilt, 0.0, sky)
  carriedRed = keptRed
  carriedGreen = keptGreen
  carriedBlue = keptBlue
}

/** Polished stone in rings around the middle, lost in haze towards the horizon. */
function bounceOffFloor (): void {
  const x = ox + dx * distance
  const z = oz + dz * distance
  const away = Math.sqrt(x * x + z * z)
  const clear = 1.0 / (1.0 + 0.0012 * distance * distance)
  // Haze: the part of the light that comes from the air before the floor.
  addSkyLight(0.0, 0.0, 1.0 - clear)
  dim(clear, clear, clear)
  const ring = away * 1.1
  const part = ring - Math.floor(ring)
  const inlaid = part < 0.06 && away > 1.0 && away < 14.0
  const base = inlaid ? 0.30 : ((<i32>Math.floor(ring)) & 1) === 0 ? 0.16 : 0.2
  const open = openness(x, 0.0, z, 0.0, 1.0, 0.0, -1)
  const sun = sunY * sunAt(x, 0.0, z)
  const mirror = schlick(inlaid ? 0.25 : 0.05, -dy)
  addMatte(base, base * (inlaid ? 0.78 : 0.97), base * (inlaid ? 0.45 : 0.95), sun, 0.9 * open, 0.35, 1.0 - mirror)
  dim(mirror, mirror, mirror)
  ox = x
  oy = 0.0
  oz = z
  dy = -dy
}

function bounceOffMarble (index: i32): void {
  const marble = unchecked(marbles[index])
  const x = ox + dx * distance
  const y = oy + dy * distance
  const z = oz + dz * distance
  const nx = (x - marble.x) / marble.radius
  const ny = (y - marble.y) / marble.radius
  const nz = (z - marble.z) / marble.radius
  ox = x
  oy = y
  oz = z
  if (marble.stuff === GLASS) {
    passGlass(index, nx, ny, nz)
    return
  }
  const cosine = Math.max(-(dx * nx + dy * ny + dz * nz), 0.0)
  if (marble.stuff === PORCELAIN) {
    const mirror = schlick(0.045, cosine)
    const toSun = nx * sunX + ny * sunY + nz * sunZ
    const sun = toSun > 0.0 ? toSun * sunAt(x + nx * 1e-4, y + ny * 1e-4, z + nz * 1e-4) : 0.0
    // Below the equator it sees the floor, which is darker than the sky.
    const open = openness(x, y, z, nx, ny, nz, index) * (0.62 + 0.38 * ny)
    addMatte(marble.red, marble.green, marble.blue, sun, open, 0.35, 1.0 - mirror)
    dim(mirror, mirror, mirror)
  } else {
    const edge = schlick(0.0, cosine)
    dim(marble.red + (1.0 - marble.red) * edge, marble.green + (1.0 - marble.green) * edge, marble.blue + (1.0 - marble.blue) * edge)
    dim(0.9, 0.9, 0.9)
  }
  reflect(nx, ny, nz)
}

function reflect (nx: f64, ny: f64, nz: f64): void {
  const twice = 2.0 * (dx * nx + dy * ny + dz * nz)
  dx -= twice * nx
  dy -= twice * ny
  dz -= twice * nz
}

/**
 * Refract at a border of glass (Snell). The share that is reflected instead (Fresnel) shows sky or
 * floor without what stands there: one path stays one path, and the picture free of specks.
 */
function passGlass (index: i32, nx: f64, ny: f64, nz: f64): void {
  const marble = unchecked(marbles[index])
  let cosine = -(dx * nx + dy * ny + dz * nz)
  let ratio = 1.0 / GLASS_INDEX
  let sign = 1.0
  if (cosine < 0.0) {
    // From inside: the normal turns, and the way through has coloured the light.
    cosine = -cosine
    ratio = GLASS_INDEX
    sign = -1.0
    dim(marble.red, marble.green, marble.blue)
  } else {
    const mirror = schlick(0.04, cosine)
    const away = dy + 2.0 * cosine * ny
    addSkyLight(away, 0.0, away > 0.0 ? mirror : 0.4 * mirror)
    dim(1.0 - mirror, 1.0 - mirror, 1.0 - mirror)
    addSun(nx, ny, nz, cosine)
  }
  const under = 1.0 - ratio * ratio * (1.0 - cosine * cosine)
  if (under <= 0.0) {
    reflect(nx, ny, nz)
    return
  }
  const bend = (ratio * cosine - Math.sqrt(under)) * sign
  dx = dx * ratio + nx * bend
  dy = dy * ratio + ny * bend
  dz = dz * ratio + nz * bend
}

/** The sun's image on glass. */
function addSun (nx: f64, ny: f64, nz: f64, cosine: f64): void {
  const toSun = (dx + 2.0 * cosine * nx) * sunX + (dy + 2.0 * cosine * ny) * sunY + (dz + 2.0 * cosine * nz) * sunZ
  const glow = 0.3 * disc(toSun)
  red += carriedRed * glow * unchecked(sunlight[0])
  green += carriedGreen * glow * unchecked(sunlight[1])
  blue += carriedBlue * glow * unchecked(sunlight[2])
}

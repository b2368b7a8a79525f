/** The viewer's GLSL: one sky function that the sky and the fog share, so that the world fades into it. */

/** Linear colours throughout; `encode` brings them to sRGB at the end. */
const COMMON = /* glsl */ `
precision highp float;
precision highp int;
uniform vec3 sunDirection;
uniform float seconds;
uniform vec3 cameraWorld;

vec3 encode(vec3 linear) {
  vec3 mapped = linear * (1.0 + linear * 0.12) / (1.0 + linear * 0.32);
  return pow(clamp(mapped * 1.12, 0.0, 1.0), vec3(1.0 / 2.2));
}

uint scramble(uint value) {
  value = value * 747796405u + 2891336453u;
  value = ((value >> ((value >> 28u) + 4u)) ^ value) * 277803737u;
  return (value >> 22u) ^ value;
}

float hash(ivec3 cell) {
  uvec3 wrapped = uvec3(cell & 0xfff);
  return float(scramble(wrapped.x + scramble(wrapped.y + scramble(wrapped.z))) >> 8u) / 16777216.0;
}

float smoothNoise(vec2 place) {
  ivec2 cell = ivec2(floor(place));
  vec2 part = fract(place);
  part = part * part * (3.0 - 2.0 * part);
  float low = mix(hash(ivec3(cell, 7)), hash(ivec3(cell + ivec2(1, 0), 7)), part.x);
  float high = mix(hash(ivec3(cell + ivec2(0, 1), 7)), hash(ivec3(cell + ivec2(1, 1), 7)), part.x);
  return mix(low, high, part.y);
}

vec3 skyColor(vec3 direction) {
  float height = max(direction.y, 0.0);
  vec3 zenith = vec3(0.075, 0.22, 0.60);
  vec3 middle = vec3(0.25, 0.48, 0.82);
  vec3 horizon = vec3(0.66, 0.79, 0.92);
  vec3 color = mix(horizon, middle, smoothstep(0.0, 0.28, height));
  color = mix(color, zenith, smoothstep(0.15, 0.95, height));
  float sunward = max(dot(direction, sunDirection), 0.0);
  color += vec3(0.32, 0.22, 0.10) * pow(sunward, 6.0) * (0.35 + 0.4 * (1.0 - height));
  return mix(color, vec3(0.56, 0.68, 0.80), smoothstep(0.0, -0.5, direction.y));
}
`;

const FOG = /* glsl */ `
uniform vec2 fogDistance;
uniform float isSubmerged;

vec3 withFog(vec3 color, vec3 fromCamera) {
  vec3 direction = normalize(fromCamera);
  float reach = max(length(fromCamera.xz) / fogDistance.x, abs(fromCamera.y) / fogDistance.y);
  float amount = smoothstep(0.45, 1.0, reach);
  vec3 fogged = mix(color, skyColor(direction), amount * amount * (3.0 - 2.0 * amount));
  float depth = 1.0 - exp(-length(fromCamera) * 0.075);
  vec3 deep = mix(vec3(0.02, 0.10, 0.20), vec3(0.06, 0.24, 0.34), 0.5 + 0.5 * direction.y);
  return mix(fogged, mix(color * vec3(0.45, 0.75, 0.9), deep, depth), isSubmerged);
}
`;

export const SKY_VERTEX = /* glsl */ `
out vec3 direction;
void main() {
  direction = position;
  vec4 place = projectionMatrix * vec4(mat3(viewMatrix) * position, 1.0);
  gl_Position = vec4(place.xy, place.w * 0.9999999, place.w);
}
`;

export const SKY_FRAGMENT = /* glsl */ `
${COMMON}
uniform float isSubmerged;
in vec3 direction;
out vec4 pixel;

float cloudCover(vec2 place) {
  float cover = smoothNoise(place) * 0.55 + smoothNoise(place * 2.1 + 11.0) * 0.28 + smoothNoise(place * 4.3) * 0.17;
  return smoothstep(0.52, 0.74, cover);
}

void main() {
  vec3 d = normalize(direction);
  vec3 color = skyColor(d);
  if (d.y > 0.02) {
    vec2 place = d.xz / d.y * 1.6 + cameraWorld.xz * 0.0015 + seconds * 0.006;
    float cover = cloudCover(place) * smoothstep(0.04, 0.24, d.y) * 0.85;
    color = mix(color, vec3(0.97, 0.975, 1.0), cover);
  }
  float sunward = dot(d, sunDirection);
  color += vec3(1.0, 0.86, 0.6) * (smoothstep(0.99915, 0.9994, sunward) * 3.0 + pow(max(sunward, 0.0), 220.0) * 0.6);
  color = mix(color, vec3(0.03, 0.15, 0.26), isSubmerged);
  pixel = vec4(encode(color), 1.0);
}
`;

/** Unpacks quads (see mesh/layout.ts); the four vertices of an instance are its corners. */
export const CHUNK_VERTEX = /* glsl */ `
precision highp int;
in uvec2 quad;
uniform highp sampler2D palette;
out vec3 place;
out float occlusion;
flat out vec4 color;
flat out vec4 under;
flat out int direction;
flat out vec3 faceNormal;
flat out float shade;

const ivec3 AXES[6] = ivec3[6](ivec3(0,2,1), ivec3(0,2,1), ivec3(1,0,2), ivec3(1,0,2), ivec3(2,0,1), ivec3(2,0,1));

vec3 faceCorner(int corner, vec2 size) {
  float s = (corner == 1 || corner == 2) ? size.x : 0.0;
  float t = corner >= 2 ? size.y : 0.0;
  ivec3 axes = AXES[direction];
  vec3 offset = vec3(0.0);
  offset[axes.x] = (direction & 1) == 0 ? 1.0 : 0.0;
  offset[axes.y] = s;
  offset[axes.z] = t;
  faceNormal = vec3(0.0);
  faceNormal[axes.x] = (direction & 1) == 0 ? 1.0 : -1.0;
  return offset;
}

vec3 plantCorner(int corner) {
  float s = (corner == 1 || corner == 2) ? 0.9 : 0.1;
  float t = corner >= 2 ? 0.92 : 0.0;
  bool isOther = direction >= 8;
  faceNormal = vec3(0.0, 1.0, 0.0);
  return vec3(s, t, isOther ? 1.0 - s : s);
}

void main() {
  direction = int((quad.x >> 25u) & 15u);
  int flip = int((quad.x >> 29u) & 1u);
  bool isReversed = direction == 0 || direction == 2 || direction == 5 || direction == 7 || direction == 9;
  int turned = (gl_VertexID + flip) & 3;
  int corner = isReversed ? (4 - turned) & 3 : turned;
  vec2 size = vec2(float((quad.x >> 15u) & 31u), float((quad.x >> 20u) & 31u)) + 1.0;
  vec3 origin = vec3(float(quad.x & 31u), float((quad.x >> 5u) & 31u), float((quad.x >> 10u) & 31u));
  vec3 local = origin + (direction < 6 ? faceCorner(corner, size) : plantCorner(corner));
  int block = int(quad.y & 0xffffu);
  ivec2 texel = ivec2(block & 255, block >> 8);
  color = texelFetch(palette, texel, 0);
  under = texelFetch(palette, texel + ivec2(0, 256), 0);
  occlusion = float((quad.y >> (16u + 2u * uint(corner))) & 3u) / 3.0;
  shade = float(quad.y >> 24u);
#ifdef TRANSLUCENT
  if (direction == 2 && under.a > 0.75) {
    local.y -= 0.11;
  }
#endif
#ifdef GHOST
  // A hair larger than the voxel, and more far away, where depth is coarse: so it does not flicker with the block.
  local += faceNormal * (0.012 + 0.0006 * length((modelViewMatrix * vec4(local, 1.0)).xyz));
  shade = block == GHOST ? 1.0 : 0.0;
#endif
  vec4 world = modelMatrix * vec4(local, 1.0);
  place = world.xyz;
  gl_Position = projectionMatrix * viewMatrix * world;
}
`;

const CHUNK_INPUTS = /* glsl */ `
in vec3 place;
in float occlusion;
flat in vec4 color;
flat in vec4 under;
flat in int direction;
flat in vec3 faceNormal;
flat in float shade;
/** How far what is drawn has fallen: its pattern falls with it. */
uniform float drop;
out vec4 pixel;

#if defined(LIGHT) || defined(BODY_LIGHT)
uniform float bodyLight;

/** What is left of the day at a face: of both lights the stronger; that of blocks is warm, and where none is one still sees. */
vec3 brightness() {
#ifdef BODY_LIGHT
  float light = bodyLight;
#else
  float light = shade;
#endif
  float sky = floor(light / 16.0);
  float block = light - 16.0 * sky;
  float level = max(sky, block) / 15.0;
  vec3 tint = mix(vec3(1.0), vec3(1.0, 0.85, 0.64), clamp((block - sky) / 8.0, 0.0, 1.0));
  return tint * mix(0.08, 1.0, pow(level, 1.5));
}
#else
vec3 brightness() {
  return vec3(1.0);
}
#endif

vec3 toLinear(vec3 encoded) {
  return pow(encoded, vec3(2.2));
}

vec3 lightOn(vec3 facing, float open) {
  vec3 sky = mix(vec3(0.30, 0.29, 0.30), vec3(0.52, 0.62, 0.80), facing.y * 0.5 + 0.5);
  vec3 sun = vec3(1.05, 0.93, 0.74) * max(dot(facing, sunDirection), 0.0) * 1.12;
  float shade = mix(0.30, 1.0, open) ;
  return (sky + sun * mix(0.55, 1.0, open)) * shade;
}
`;

export const FILLED_FRAGMENT = /* glsl */ `
${COMMON}
${FOG}
${CHUNK_INPUTS}

/** How much of a detail of the given size in voxels is left at this distance. */
float visibleDetail(float size) {
  vec3 width = fwidth(place);
  return 1.0 - smoothstep(0.35, 1.1, max(width.x, max(width.y, width.z)) / size);
}

void cutBlades(vec3 inside, ivec3 cell) {
  float across = floor(inside.x * 10.0);
  float top = 0.25 + 0.75 * hash(ivec3(int(across), cell.x * 31 + cell.z, direction >> 1));
  float isBlade = hash(ivec3(cell.z * 17 + int(across), cell.x, 5));
  if (inside.y > top || isBlade < 0.38) {
    discard;
  }
}

#ifdef SUPPORT
/** Red where little is left, over yellow and green to blue; what is anchored is pale with stripes. */
vec3 supportColor(vec3 face) {
  float part = shade / 254.0;
  vec3 color = mix(vec3(0.72, 0.02, 0.015), vec3(0.85, 0.50, 0.02), smoothstep(0.0, 0.22, part));
  color = mix(color, vec3(0.10, 0.55, 0.06), smoothstep(0.22, 0.50, part));
  color = mix(color, vec3(0.03, 0.22, 0.75), smoothstep(0.50, 1.0, part));
  float stripe = step(0.5, fract((face.x + face.y + face.z) * 0.5));
  return shade > 254.5 ? mix(vec3(0.55, 0.52, 0.62), vec3(0.16, 0.12, 0.30), stripe) : color;
}
#endif

void main() {
  vec3 face = place + vec3(0.0, drop, 0.0);
  if (direction < 6) {
    face -= faceNormal * 0.04;
  }
  ivec3 cell = ivec3(floor(face));
  vec3 inside = face - floor(face);
  vec3 base = toLinear(color.rgb);
  if (direction >= 6) {
    cutBlades(inside, cell);
    base *= 0.62 + 0.55 * inside.y;
  } else if (direction != 2) {
    float fringe = 0.2 + 0.26 * hash(ivec3(ivec2(floor(face.xz * 8.0)), cell.y));
    bool isFringe = direction != 3 && inside.y > 1.0 - fringe;
    vec3 soil = mix(mix(base, toLinear(under.rgb), 0.5), toLinear(under.rgb), visibleDetail(0.5));
    base = isFringe ? base : soil;
  }
  float grain = hash(ivec3(floor(face * 8.0))) - 0.5;
  float patches = hash(ivec3(floor(face * 4.0)) + 91) - 0.5;
  float block = hash(cell) - 0.5;
  float broad = smoothNoise(face.xz * 0.043 + face.y * 0.05) - 0.5;
  float variation = grain * 0.17 * visibleDetail(0.125) + patches * 0.12 * visibleDetail(0.25)
    + block * 0.13 * visibleDetail(1.0) + broad * 0.24;
  bool isFoliage = under.a > 0.25 && direction < 6;
  if (isFoliage) {
    float pit = smoothstep(0.12, 0.42, patches + grain * 0.7 + 0.42);
    variation += (pit - 0.8) * 0.75 * visibleDetail(0.2) + block * 0.26 + grain * 0.2 * visibleDetail(0.125);
  }
  base *= 1.0 + variation;
  base.r *= 1.0 + broad * 0.22;
  base = mix(base, vec3(dot(base, vec3(0.3, 0.59, 0.11))), 0.10);
#ifdef SUPPORT
  base = mix(base * 0.35, supportColor(face) * (1.0 + 0.5 * variation), direction < 6 ? 1.0 : 0.0);
#endif
  vec3 lit = base * lightOn(faceNormal, occlusion) * brightness();
  lit = mix(lit, base * 1.9, color.a);
  pixel = vec4(encode(withFog(lit, place - cameraPosition)), 1.0);
}
`;

export const TRANSLUCENT_FRAGMENT = /* glsl */ `
${COMMON}
${FOG}
${CHUNK_INPUTS}

vec3 waveNormal(vec2 where) {
  vec2 slope = vec2(
    sin(where.x * 0.9 + seconds * 1.1) + 0.7 * sin(where.x * 1.7 + where.y * 1.3 - seconds * 1.6),
    sin(where.y * 1.1 - seconds * 0.9) + 0.7 * sin(where.y * 1.9 - where.x * 1.2 + seconds * 1.4));
  vec2 ripple = vec2(smoothNoise(where * 1.6 + seconds * 0.55), smoothNoise(where.yx * 1.6 - seconds * 0.5)) - 0.5;
  return normalize(vec3(slope.x * 0.022 + ripple.x * 0.16, 1.0, slope.y * 0.022 + ripple.y * 0.16));
}

void main() {
  vec3 fromCamera = place - cameraPosition;
  vec3 eye = normalize(fromCamera);
  vec3 base = toLinear(color.rgb);
  bool isLiquid = under.a > 0.75;
  float open = mix(0.75, 1.0, occlusion);
  vec3 facing = faceNormal;
  if (isLiquid && direction == 2) {
    facing = waveNormal(place.xz);
  }
  float grazing = 1.0 - abs(dot(eye, facing));
  float fresnel = 0.03 + 0.97 * pow(grazing, 5.0);
  vec3 mirrored = skyColor(normalize(reflect(eye, facing) * vec3(1.0, isLiquid ? 1.0 : 0.6, 1.0)));
  vec3 body = base * lightOn(faceNormal, occlusion) * (isLiquid ? 0.85 : 1.0);
  vec3 lit = mix(body, mirrored, fresnel * 0.75);
  float alpha = isLiquid ? mix(0.62, 0.95, grazing * grazing) : mix(0.28, 0.7, fresnel);
  if (isLiquid && direction == 2) {
    float glint = pow(max(dot(reflect(eye, facing), sunDirection), 0.0), 380.0);
    lit += vec3(1.0, 0.9, 0.7) * glint * 1.6;
    alpha = max(alpha, min(1.0, glint));
  }
  pixel = vec4(encode(withFog(lit * open * brightness(), fromCamera)), alpha);
}
`;

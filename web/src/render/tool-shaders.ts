/** The GLSL of what tools draw: broad lines, the cells of fields, and ghosts of voxels. Their colours are those of the screen, without light or fog. */

/** A piece of a line as a quad that faces the camera: broad as in the world, but never thinner than some pixels. */
export const WAY_VERTEX = /* glsl */ `
in vec2 corner;
in vec3 begin;
in vec3 end;
uniform vec2 resolution;
out vec2 place;
out float reach;

const float LEAST_PIXELS = 2.6;
const float WIDTH = 0.085;
const float NEAREST = -0.1;

void main() {
  vec4 a = modelViewMatrix * vec4(begin, 1.0);
  vec4 b = modelViewMatrix * vec4(end, 1.0);
  place = vec2(0.0);
  reach = 0.0;
  if (a.z > NEAREST && b.z > NEAREST) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    return;
  }
  vec4 from = a.z > NEAREST ? mix(a, b, (a.z - NEAREST) / (a.z - b.z)) : a;
  vec4 to = b.z > NEAREST ? mix(b, a, (b.z - NEAREST) / (b.z - a.z)) : b;
  vec4 clipFrom = projectionMatrix * from;
  vec4 clipTo = projectionMatrix * to;
  vec2 pixelFrom = clipFrom.xy / clipFrom.w * resolution * 0.5;
  vec2 pixelTo = clipTo.xy / clipTo.w * resolution * 0.5;
  float pixels = length(pixelTo - pixelFrom);
  vec2 along = pixels > 1e-3 ? (pixelTo - pixelFrom) / pixels : vec2(1.0, 0.0);
  vec4 own = corner.x < 0.5 ? clipFrom : clipTo;
  float halfWidth = max(LEAST_PIXELS * max(1.0, resolution.y / 900.0), WIDTH * projectionMatrix[1][1] * resolution.y * 0.5 / own.w);
  vec2 offset = vec2(-along.y, along.x) * corner.y * halfWidth + along * (corner.x * 2.0 - 1.0) * halfWidth;
  // Divided here, so that what follows is interpolated over the screen.
  gl_Position = vec4(own.xyz / own.w + vec3(offset / resolution * 2.0, 0.0), 1.0);
  reach = pixels / halfWidth;
  place = vec2(corner.x < 0.5 ? -1.0 : reach + 1.0, corner.y);
}
`;

export const WAY_FRAGMENT = /* glsl */ `
precision highp float;
in vec2 place;
in float reach;
uniform vec3 color;
uniform float opacity;
out vec4 pixel;

void main() {
  float past = max(max(-place.x, place.x - reach), 0.0);
#ifdef BEHIND
  // Without round ends, which would lie on each other.
  if (past > 0.0 || abs(place.y) > 0.8) discard;
  pixel = vec4(color, opacity);
#else
  float away = length(vec2(past, place.y));
  if (away > 1.0) discard;
  pixel = vec4(color * (away > 0.72 ? 0.22 : 1.0), 1.0);
#endif
}
`;

/** Unpacks cells (see world/field-cells.ts); the four vertices of an instance are the corners of a tile. */
export const CELL_VERTEX = /* glsl */ `
precision highp int;
in uvec2 cell;
uniform float farthest;
out vec2 place;
flat out vec3 arrow;
flat out int kind;
flat out float share;
flat out float opacity;

const float HEIGHTS[3] = float[3](0.03, 1.0, 0.5);
const float REACHES[3] = float[3](0.47, 0.47, 0.24);
const float OPACITIES[3] = float[3](0.86, 0.8, 0.6);

int bits(uint shift, uint mask) {
  return int((cell.x >> shift) & mask);
}

void main() {
  int corner = gl_VertexID & 3;
  int lies = bits(24u, 3u);
  place = vec2(corner == 1 || corner == 2 ? 1.0 : -1.0, corner >= 2 ? 1.0 : -1.0);
  kind = bits(15u, 7u);
  arrow = vec3(float(bits(18u, 3u) - 1), float(bits(22u, 3u) - 1), float(bits(20u, 3u) - 1));
  share = float(cell.y) / farthest;
  opacity = OPACITIES[lies];
  vec3 voxel = vec3(float(bits(0u, 31u)), float(bits(5u, 31u)), float(bits(10u, 31u)));
  vec2 spread = 0.5 + place * REACHES[lies];
  gl_Position = projectionMatrix * modelViewMatrix * vec4(voxel + vec3(spread.x, HEIGHTS[lies], spread.y), 1.0);
}
`;

export const CELL_FRAGMENT = /* glsl */ `
precision highp float;
precision highp int;
in vec2 place;
flat in vec3 arrow;
flat in int kind;
flat in float share;
flat in float opacity;
uniform highp sampler2D ramp;
out vec4 pixel;

/** How much of the pixel an arrow covers that points along a direction. */
float arrowCover(vec2 direction, float blur) {
  vec2 d = normalize(direction);
  vec2 q = vec2(dot(place, vec2(-d.y, d.x)), dot(place, d));
  float shaft = max(abs(q.x) - 0.12, max(-0.68 - q.y, q.y - 0.1));
  float head = max(dot(vec2(abs(q.x), q.y - 0.72), vec2(0.82, 0.57)), 0.02 - q.y);
  return 1.0 - smoothstep(-blur, blur, min(shaft, head));
}

/** A ring where the way goes straight up, a disc where it goes straight down. */
float standingCover(float rise, float blur) {
  float away = length(place);
  float disc = rise > 0.0 ? abs(away - 0.4) - 0.12 : away - 0.36;
  return 1.0 - smoothstep(-blur, blur, disc);
}

void main() {
  float blur = max(fwidth(place.x), fwidth(place.y)) * 0.7;
  // Far away a tile is a few pixels, and an arrow in it would only flicker.
  float sharp = 1.0 - smoothstep(0.3, 0.8, blur);
  if (kind == 1) {
    float rings = smoothstep(0.3, 0.5, fract(length(place) * 1.6));
    pixel = vec4(mix(vec3(1.0), vec3(0.06, 0.09, 0.14), rings * sharp), 0.95);
  } else if (kind == 2) {
    float dots = (1.0 - smoothstep(0.12 - blur, 0.12 + blur, length(fract(place * 1.5) - 0.5) - 0.1)) * sharp;
    pixel = vec4(mix(vec3(0.03, 0.02, 0.22), vec3(0.45, 0.42, 0.9), dots), opacity);
  } else if (kind == 3) {
    float stripes = step(0.5, fract((place.x + place.y) * 1.0)) * sharp;
    pixel = vec4(vec3(mix(0.42, 0.62, stripes)), 0.5);
  } else {
    vec3 tint = texture(ramp, vec2(clamp(share, 0.0, 1.0), 0.5)).rgb;
    bool isFlat = arrow.x != 0.0 || arrow.z != 0.0;
    float cover = sharp * (isFlat ? arrowCover(arrow.xz, blur) : standingCover(arrow.y, blur));
    float bright = dot(tint, vec3(0.3, 0.6, 0.1));
    pixel = vec4(mix(tint, bright > 0.42 ? vec3(0.13, 0.05, 0.2) : vec3(1.0), cover * 0.9), opacity);
  }
}
`;

/** Over what `CHUNK_VERTEX` unpacks: what comes back in a light green tint of its colour, what goes red, each voxel with its edges. */
export const GHOST_FRAGMENT = /* glsl */ `
precision highp float;
in vec3 place;
flat in vec4 color;
flat in int direction;
flat in vec3 faceNormal;
flat in float shade;
out vec4 pixel;

void main() {
  vec2 onFace = direction < 2 ? place.zy : direction < 4 ? place.xz : place.xy;
  vec2 width = fwidth(onFace);
  vec2 outward = abs(fract(onFace) - 0.5);
  vec2 lines = smoothstep(0.47 - width, 0.47 + width, outward);
  // Far away the edges would be all that there is.
  float edge = max(lines.x, lines.y) * (1.0 - smoothstep(0.08, 0.3, max(width.x, width.y)));
  float facing = 0.86 + 0.14 * faceNormal.y - 0.06 * abs(faceNormal.x);
  bool goes = shade > 0.5;
  vec3 tint = goes ? vec3(1.0, 0.16, 0.12) : mix(color.rgb, vec3(0.42, 1.0, 0.52), 0.55);
  vec3 line = goes ? vec3(1.0, 0.62, 0.56) : vec3(0.80, 1.0, 0.84);
  pixel = vec4(mix(tint * facing, line, edge * 0.75), mix(goes ? 0.42 : 0.62, 0.9, edge));
}
`;

// The engine: plays a population from the number that all of its draws are made from. Draws, choices
// and rows are those of mesa_llm_norms, whose core/randomness.py, minds/recorded.py and
// simulation/pairing.py say why. Names and agents are numbers here: their places in the pool and in
// the network. A memory is a text with a character for each of own and partner's name, oldest first.

const GOLDEN = 0x9e3779b97f4a7c15n
const UNIT = 2 ** 32 // draws are whole numbers below it
const DEPTH = 5 // interactions that a logit looks at

const word = (value) => BigInt.asUintN(64, value)

/** The finaliser of splitmix64. */
function mix(value) {
  value = word((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n)
  value = word((value ^ (value >> 27n)) * 0x94d049bb133111ebn)
  return value ^ (value >> 31n)
}

/** The 64-bit draw with a number, from 0, of all those of a key. */
const drawOf = (key, number) => mix(word(key + BigInt(number + 1) * GOLDEN))

const halves = (value) => [Number(value >> 32n), Number(value & 0xffffffffn)]

const indexOf = (draw, size) => Math.floor((draw * size) / UNIT)

/** The first place whose cumulative weight is above a draw. */
function choose(weights, draw) {
  let [low, high] = [0, weights.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (draw < weights[middle]) high = middle
    else low = middle + 1
  }
  return low
}

/** Round as Python does: halves to the even neighbor. */
function roundHalfEven(value) {
  const up = Math.round(value)
  return up - value === 0.5 && up % 2 ? up - 1 : up
}

function cumulative(weights) {
  const sums = []
  let [sum, last] = [0, 0]
  weights.forEach((weight, place) => {
    if (sum + weight > sum) last = place
    sums.push((sum += weight))
  })
  return sums.map((part, place) => (place < last ? roundHalfEven((part / sum) * UNIT) : UNIT))
}

// Minds: both kinds give the cumulative weights of the names on a memory

class Table {
  constructor(rows) {
    this.rows = new Map(Object.entries(rows))
  }

  /** Those of the longest recent part of the memory that has a row. */
  weights(memory) {
    while (!this.rows.has(memory)) memory = memory.slice(2)
    return this.rows.get(memory)
  }
}

/** A conditional logit: a name's utility is the sum of the weights of how it fared, newest first. */
class Logit {
  constructor(given) {
    Object.assign(this, given)
    this.counts = new Map(Object.entries(given.counts))
    this.known = new Map()
  }

  weights(memory) {
    const recent = memory.slice(-2 * DEPTH)
    if (!this.known.has(recent)) this.known.set(recent, cumulative(this.distribution(recent)))
    return this.known.get(recent)
  }

  distribution(memory) {
    const pool = this.own.length
    const utilities = this.alone[memory ? 0 : 1].map((alone, name) => {
      const letters = profile(name, memory)
      const met = /[^N]/.test(letters)
      return alone + (this.sharedUtility(letters, pool > 2) + (met ? this.ownUtility(name, letters) : 0))
    })
    const highest = Math.max(...utilities)
    let found = normalized(utilities.map((utility) => Math.exp(utility - highest)))
    const counted = this.counts.get(memory)
    if (counted) {
      const total = counted.reduce((sum, one) => sum + one, 0) + this.prior
      found = found.map((share, name) => (counted[name] + this.prior * share) / total)
    }
    if (this.power === 1) return found
    const top = Math.max(...found)
    return normalized(found.map((share) => (share / top) ** this.power))
  }

  sharedUtility(letters, many) {
    const length = letters.length
    if (!length) return 0
    const of = (family, feature) => this.shared[family][feature] || 0
    let sum = of('met', `${length} ${/[^N]/.test(letters) ? 'yes' : 'no'}`)
    for (const kind of many ? ['', 'many_'] : ['']) {
      for (let lag = 1; lag <= length; lag++) sum += of(kind + 'lag', lag + letters[lag - 1])
      for (let depth = 2; depth <= length; depth++) sum += of(kind + 'recent', letters.slice(0, depth))
      if (length < DEPTH) sum += of(kind + 'whole', letters)
    }
    return sum
  }

  ownUtility(name, letters) {
    const { recent, whole } = this.own[name]
    let sum = letters.length < DEPTH ? whole[letters] || 0 : 0
    for (let depth = 1; depth <= letters.length; depth++) sum += recent[letters.slice(0, depth)] || 0
    return sum
  }
}

const normalized = (weights) => {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

/** Letters, newest first: B both played the name, O only I did, P only my partner, N neither. */
function profile(name, memory) {
  const letter = String.fromCharCode(48 + name)
  let letters = ''
  for (let at = memory.length - 2; at >= 0; at -= 2) {
    const [own, partner] = [memory[at] === letter, memory[at + 1] === letter]
    letters += own ? (partner ? 'B' : 'O') : partner ? 'P' : 'N'
  }
  return letters
}

// The population

class Population {
  /** Of a population as it is written; its minds are places in a list of those of all. */
  constructor(content, minds) {
    Object.assign(this, content)
    this.minds = content.minds.map((place) => {
      const { logit, table, ...mind } = minds[place]
      return { ...mind, how: logit ? new Logit(logit) : new Table(table) }
    })
    this.keys = { play: BigInt(content.key), matching: BigInt(content.matching_key) }
    this.edges = []
    this.initiators = []
    this.neighbors.forEach((others, a) => {
      if (others.length) this.initiators.push(a)
      for (const b of others) if (this.directed || a < b) this.edges.push([a, b])
    })
    this.reset()
  }

  get size() {
    return this.neighbors.length
  }

  reset() {
    this.seats = [...this.seated]
    this.memories = this.seats.map(() => this.start)
    this.held = this.seats.map(() => -1)
    this.scores = this.seats.map(() => 0)
    this.rows = [] // {round, interaction, agents, names, matched, payoff}
    this.series = [] // of each round: interactions, matches, and how often each name was played
    this.planned = []
    this.over = this.rounds === 0
    this.played = this.names.map(() => 0) // in the window
    this.matches = 0
  }

  /** Whether the next interaction is the first of its round. */
  get betweenRounds() {
    return !this.planned.length
  }

  /** Plan who meets in the next round; nothing that was chosen matters for that. */
  plan() {
    const [round, first] = [this.series.length, this.rows.length]
    this.seats = this.seats.map((mind, agent) => {
      const { until } = this.minds[mind]
      return until !== undefined && until !== null && round >= until ? this.uncommitted[agent] : mind
    })
    if (this.pairing === 'matching') this.planned = this.matching(round)
    else {
      const draw = this.pairing === 'edge' ? this.edgeDrawn : this.nodeDrawn
      this.planned = this.seats.map((_, place) => draw.call(this, first + place))
    }
    this.series.push({ interactions: 0, matched: 0, counts: this.names.map(() => 0) })
  }

  nodeDrawn(number) {
    const [node, neighbor] = halves(drawOf(this.keys.play, 2 * number))
    const a = this.initiators[indexOf(node, this.initiators.length)]
    const others = this.neighbors[a]
    const weights = this.neighbor_weights
    return [a, others[weights ? choose(weights[a], neighbor) : indexOf(neighbor, others.length)]]
  }

  edgeDrawn(number) {
    const [drawn, side] = halves(drawOf(this.keys.play, 2 * number))
    const weights = this.edge_weights
    const [a, b] = this.edges[weights ? choose(weights, drawn) : indexOf(drawn, this.edges.length)]
    return this.directed || side >= UNIT / 2 ? [a, b] : [b, a]
  }

  /** Edges in an order of chance, of which those with two free ends are taken. */
  matching(round) {
    const key = drawOf(this.keys.matching, round)
    const arrivals = this.edges.map((ends, place) => {
      const drawn = drawOf(key, place)
      const waited = -Math.log(Number(drawn >> 11n) * 2 ** -53 + 2 ** -54)
      const kept = this.directed || drawn & 1n
      return { at: waited / (this.weights ? this.weights[place] : 1), ends: kept ? ends : [ends[1], ends[0]] }
    })
    const busy = new Set()
    return arrivals
      .sort((one, other) => one.at - other.at)
      .map(({ ends }) => ends)
      .filter(([a, b]) => !busy.has(a) && !busy.has(b) && busy.add(a) && busy.add(b))
  }

  /** The weights by which an agent chooses next. */
  weightsOf(agent) {
    const { depth, how } = this.minds[this.seats[agent]]
    return how.weights(depth ? this.memories[agent].slice(-2 * depth) : '')
  }

  /** Play the next interaction and return its row; null once the run is over. */
  step() {
    if (this.over) return null
    if (this.betweenRounds) this.plan()
    const interaction = this.rows.length
    const agents = this.planned.shift()
    const drawn = halves(drawOf(this.keys.play, 2 * interaction + 1))
    const names = agents.map((agent, seat) => choose(this.weightsOf(agent), drawn[seat]))
    const matched = names[0] === names[1]
    const payoff = matched ? this.reward : this.penalty
    agents.forEach((agent, seat) => {
      const pair = String.fromCharCode(48 + names[seat], 48 + names[1 - seat])
      this.memories[agent] = (this.memories[agent] + pair).slice(-2 * this.memory)
      this.held[agent] = names[seat]
      this.scores[agent] += payoff
    })
    const row = { round: this.series.length - 1, interaction, agents, names, matched, payoff }
    this.rows.push(row)
    this.count(row)
    const last = this.betweenRounds && this.series.length >= this.rounds
    this.over = last || this.reached
    return row
  }

  count({ names, matched }) {
    const round = this.series[this.series.length - 1]
    round.interactions++
    round.matched += matched
    for (const name of names) round.counts[name]++
    const add = (one, sign) => {
      this.matches += sign * one.matched
      for (const name of one.names) this.played[name] += sign
    }
    add({ names, matched }, 1)
    if (this.rows.length > this.window) add(this.rows[this.rows.length - 1 - this.window], -1)
  }

  /** Whether the last interactions are what the run is played for. */
  get reached() {
    const { matches, plays, names, holders } = this.stop
    if (this.rows.length < this.window) return false
    if (matches && this.matches >= matches) return true
    const holding = (name) => this.held.filter((one) => one === name).length
    return plays > 0 && names.some((name) => this.played[name] >= plays && (!holders || holding(name) >= holders))
  }
}

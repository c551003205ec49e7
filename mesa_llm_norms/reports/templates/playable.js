// The page: buttons, and for each population its network, its figures and its charts.

const SVG = 'http://www.w3.org/2000/svg'
const SPEEDS = [0.2, 0.5, 1, 2, 5, 20]
const FULL_SPEED = 1e9
const AT_ONCE = 12 // milliseconds that play may take before the next picture
const POINTS = 300 // of a line of a chart
const [WIDE, HIGH, LEFT, RIGHT, FOOT] = [400, 140, 38, 46, 24] // of a chart, and of what surrounds it
const ENDED = {
  converged: 'the last interactions matched',
  agreed: 'agreed on a name',
  flipped: 'a committed name took over',
}

const at = (id) => document.getElementById(id)
const percent = (share) => `${Math.round(100 * share)}%`

/** Make an element, in SVG or HTML, within another. */
function make(parent, tag, attributes = {}, text = '') {
  const element = parent.namespaceURI === SVG || tag === 'svg' ? document.createElementNS(SVG, tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  if (text) element.textContent = text
  parent.append(element)
  return element
}

class Side {
  constructor(population, parent) {
    this.population = population
    this.graph = JSON.parse(population.drawing)
    this.chosen = -1
    const side = make(parent, 'section')
    if (population.heading) make(side, 'h2', {}, population.heading)
    this.figures = make(side, 'div', { class: 'figures' })
    const views = make(side, 'div', { class: 'views' })
    const network = make(views, 'div', { class: 'network' })
    this.buildNetwork(network)
    this.legend = make(network, 'div', { class: 'legend' })
    const charts = make(views, 'div')
    this.success = this.buildChart(charts, 'Success rate (share of interactions that matched)')
    this.shares = this.buildChart(charts, 'Share of each name played')
    this.details = make(charts, 'p', { class: 'hint', role: 'status' })
  }

  buildNetwork(parent) {
    const { x, y, edges, size, ids } = this.graph
    const pad = 0.6 * size + 8
    const [left, top] = [Math.min(...x) - pad, Math.min(...y) - pad]
    const box = [left, top, Math.max(...x) + pad - left, Math.max(...y) + pad - top]
    this.svg = make(parent, 'svg', { viewBox: box.join(' '), role: 'group' })
    const line = ([i, j]) => `M${x[i]} ${y[i]}L${x[j]} ${y[j]}`
    const opacity = Math.min(0.5, Math.max(0.14, 6 / Math.sqrt(edges.length + 1)))
    make(this.svg, 'path', { class: 'edges', d: edges.map(line).join(''), opacity })
    this.met = make(this.svg, 'path')
    this.lineOf = line
    this.nodes = ids.map((id, agent) => {
      const node = make(this.svg, 'g', { class: 'node', tabindex: 0, role: 'button', 'aria-label': `agent ${id}` })
      const committed = this.mindOf(agent).committed !== undefined
      const shape = committed
        ? make(node, 'rect', { x: x[agent] - size / 2, y: y[agent] - size / 2, width: size, height: size, rx: size / 8 })
        : make(node, 'circle', { cx: x[agent], cy: y[agent], r: size / 2 })
      const label = make(node, 'text', { x: x[agent], y: y[agent], 'font-size': 0.6 * size })
      const choose = () => {
        this.chosen = this.chosen === agent ? -1 : agent
        this.draw()
      }
      node.addEventListener('click', choose)
      node.addEventListener('keydown', (event) => event.key === 'Enter' && choose())
      return { node, shape, label }
    })
  }

  buildChart(parent, title) {
    const box = make(parent, 'div', { class: 'chart' })
    make(box, 'div', { class: 'chart-title' }, title)
    const svg = make(box, 'svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': title })
    for (const share of [0, 0.5, 1]) {
      const level = this.level(share)
      make(svg, 'line', { class: 'grid', x1: LEFT, x2: WIDE - RIGHT, y1: level, y2: level })
      make(svg, 'text', { x: LEFT - 6, y: level + 4, 'text-anchor': 'end' }, percent(share))
    }
    make(svg, 'text', { x: 0, y: HIGH - 6 }, 'round')
    return make(svg, 'g')
  }

  level(share) {
    return 8 + (1 - share) * (HIGH - FOOT - 8)
  }

  mindOf(agent) {
    return this.population.minds[this.population.seats[agent]]
  }

  /** What an agent says: played last, or is committed to, or remembers from before. */
  nameOf(agent) {
    const { held, names, memories } = this.population
    const { committed } = this.mindOf(agent)
    if (held[agent] >= 0) return held[agent]
    if (committed !== undefined) return names.indexOf(committed)
    return memories[agent] ? memories[agent].charCodeAt(memories[agent].length - 2) - 48 : -1
  }

  draw() {
    this.drawNetwork()
    this.drawFigures()
    if (this.drawn !== this.population.rows.length) this.drawCharts()
    this.drawn = this.population.rows.length
    this.describe()
  }

  drawNetwork() {
    const { colors, inks, size } = this.graph
    const { names, rows } = this.population
    const counts = names.map(() => 0)
    let [none, committed] = [0, 0]
    this.nodes.forEach(({ node, shape, label }, agent) => {
      const name = this.nameOf(agent)
      if (name >= 0) counts[name]++
      else none++
      if (this.mindOf(agent).committed !== undefined) committed++
      shape.style.fill = name >= 0 ? colors[name] : ''
      label.style.fill = inks[name] || ''
      const text = name >= 0 ? names[name].slice(0, 5) : ''
      label.textContent = text
      label.setAttribute('font-size', (size * Math.min(0.6, 1.2 / Math.max(1, text.length))).toFixed(1))
      node.classList.toggle('chosen', agent === this.chosen)
    })
    const last = rows[rows.length - 1]
    this.met.setAttribute('class', last && last.matched ? 'match' : 'miss')
    this.met.setAttribute('d', last ? this.lineOf(last.agents) : '')
    this.legend.textContent = ''
    const order = names.map((_, name) => name).filter((name) => counts[name])
    for (const name of order.sort((a, b) => counts[b] - counts[a] || a - b)) {
      const entry = make(this.legend, 'span')
      make(entry, 'span', { class: 'swatch', style: `background: ${colors[name]}; color: ${inks[name]}` }, names[name])
      entry.append(` ${counts[name]}`)
    }
    if (none) make(this.legend, 'span', {}, `no name yet: ${none}`)
    if (committed) make(this.legend, 'span', {}, `squares are committed: ${committed}`)
    const said = order.map((name) => `${counts[name]} hold ${names[name]}`)
    this.svg.setAttribute('aria-label', `Network of ${this.nodes.length} agents: ${said.join(', ') || 'nobody has played'}.`)
  }

  drawFigures() {
    const { rows, series, size, names, held, over, until, rounds } = this.population
    const last = rows.slice(-size)
    const rate = last.length ? percent(last.filter(({ matched }) => matched).length / last.length) : '–'
    const counts = names.map((_, name) => held.filter((one) => one === name).length)
    const most = Math.max(...counts)
    const leader = most ? `${names[counts.indexOf(most)]} ${percent(most / size)}` : '–'
    const ended = this.population.reached ? ENDED[until] : `${rounds.toLocaleString('en')} rounds played`
    const figures = [
      [series.length.toLocaleString('en'), 'round'],
      [rows.length.toLocaleString('en'), 'interactions'],
      [rate, 'success rate'],
      [leader, 'leading name'],
      [over ? `over: ${ended}` : rows.length ? 'under way' : 'not begun', 'run'],
    ]
    this.figures.textContent = ''
    for (const [value, label] of figures) {
      const figure = make(this.figures, 'div')
      make(figure, 'b', {}, value)
      make(figure, 'span', {}, label)
    }
  }

  drawCharts() {
    const { names, series, over, betweenRounds } = this.population
    const rounds = over || betweenRounds ? series : series.slice(0, -1)
    const { colors } = this.graph
    const success = rounds.map(({ matched, interactions }) => matched / interactions)
    this.drawLines(this.success, [{ values: success, text: success.length ? percent(success[success.length - 1]) : '' }])
    const lines = names.map((name, place) => {
      const values = rounds.map(({ counts, interactions }) => counts[place] / (2 * interactions))
      return { values, color: colors[place], text: values[values.length - 1] >= 0.005 ? name.slice(0, 5) : '' }
    })
    this.drawLines(this.shares, lines)
  }

  drawLines(group, lines) {
    group.textContent = ''
    const rounds = lines[0].values.length
    const right = Math.max(10, rounds)
    const across = (round) => LEFT + (round / right) * (WIDE - LEFT - RIGHT)
    for (const tick of [Math.round(right / 2), right]) {
      make(group, 'text', { x: across(tick), y: HIGH - 6, 'text-anchor': 'middle' }, tick.toLocaleString('en'))
    }
    const stride = Math.ceil(rounds / POINTS) || 1
    const ends = []
    for (const { values, color, text } of lines) {
      const points = values
        .map((share, round) => [round, `${across(round + 1).toFixed(1)},${this.level(share).toFixed(1)}`])
        .filter(([round]) => (rounds - 1 - round) % stride === 0)
      make(group, 'polyline', { points: points.map(([, point]) => point).join(' '), style: `stroke: ${color || 'var(--ink)'}` })
      if (text) ends.push({ text, level: this.level(values[rounds - 1]) + 4 })
    }
    let lowest = -Infinity
    for (const end of ends.sort((one, other) => one.level - other.level)) {
      lowest = Math.max(end.level, lowest + 12)
      make(group, 'text', { class: 'end', x: across(rounds) + 6, y: lowest }, end.text)
    }
  }

  describe() {
    const { names, memories, scores, held } = this.population
    const agent = this.chosen
    this.details.textContent = 'Click an agent to see what it remembers.'
    if (agent < 0) return
    const pairs = memories[agent].match(/../gs) || []
    const memory = pairs.map((pair) => [...pair].map((letter) => names[letter.charCodeAt(0) - 48]).join('/'))
    const weights = [0, ...this.population.weightsOf(agent), UNIT]
    const chances = names
      .map((name, place) => [name, (weights[place + 1] - weights[place]) / UNIT])
      .filter(([, chance]) => chance >= 0.005)
      .sort((one, other) => other[1] - one[1])
      .map(([name, chance]) => `${name} ${percent(chance)}`)
    this.details.textContent =
      `Agent ${this.graph.ids[agent]}, ${this.mindOf(agent).label}: ` +
      `${held[agent] >= 0 ? `said ${names[held[agent]]} last` : 'has not played'}, score ${scores[agent]}. ` +
      `It remembers (own/partner, oldest first): ${memory.join(', ') || 'nothing'}. Next: ${chances.join(', ')}.`
  }
}

const content = JSON.parse(at('content').textContent)
const populations = content.populations.map((one) => new Population(one, content.minds))
at('sides').className = populations.length > 1 ? 'both' : 'alone'
const sides = populations.map((population) => new Side(population, at('sides')))
const answers = [...document.querySelectorAll('.answers button')]
if (answers.length) document.querySelector('main').className = 'with-story'
let [playing, speed, before] = [false, content.speed, 0]
let owed = populations.map(() => 0) // interactions

const isOver = () => populations.every(({ over }) => over)

function draw() {
  for (const side of sides) side.draw()
  if (isOver()) playing = false
  at('play').textContent = playing ? 'Pause' : 'Play'
  for (const id of ['play', 'round', 'step']) at(id).disabled = isOver() || (playing && id !== 'play')
  if (!answers.length) return
  at('outcome').hidden = !isOver()
  const predicted = answers.find((answer) => answer.getAttribute('aria-pressed') === 'true')
  const begun = populations.some(({ rows }) => rows.length)
  for (const answer of answers) answer.disabled = begun && answer !== predicted
  at('predicted').textContent = !predicted ? '' : 'true' in predicted.dataset ? 'You predicted this.' : 'You predicted otherwise.'
}

function playOn(now) {
  if (!playing) return
  const passed = Math.min(0.1, (now - before) / 1000)
  before = now
  const end = performance.now() + AT_ONCE
  populations.forEach((population, place) => {
    const size = population.pairing === 'matching' ? population.size / 2 : population.size
    owed[place] += passed * speed * size
    while (owed[place] >= 1 && !population.over && performance.now() < end + place * AT_ONCE) {
      population.step()
      owed[place]--
    }
    owed[place] = Math.min(owed[place], size)
  })
  draw()
  requestAnimationFrame(playOn)
}

function play() {
  playing = !playing && !isOver()
  if (playing) {
    before = performance.now()
    requestAnimationFrame(playOn)
  }
  draw()
}

function step() {
  for (const population of populations) population.step()
  draw()
}

function round() {
  for (const population of populations) {
    do population.step()
    while (!population.over && !population.betweenRounds)
  }
  draw()
}

function reset() {
  playing = false
  owed = populations.map(() => 0)
  for (const population of populations) population.reset()
  for (const answer of answers) answer.setAttribute('aria-pressed', false)
  draw()
}

/** Every interaction so far, in the columns that mesa_llm_norms writes. */
function table() {
  const quoted = (value) => `"${String(value).replace(/"/g, '""')}"`
  const which = populations.length > 1 ? ['population'] : []
  const lines = [[...which, 'run', 'interaction', 'round', 'node_a', 'node_b', 'name_a', 'name_b', 'payoff'].join(',')]
  populations.forEach(({ rows, names, drawing }, place) => {
    const { ids } = JSON.parse(drawing)
    for (const { interaction, round, agents, names: said, payoff } of rows) {
      const words = [...agents.map((agent) => ids[agent]), ...said.map((name) => names[name])]
      lines.push([...which.map(() => place + 1), 0, interaction, round, ...words.map(quoted), payoff].join(','))
    }
  })
  return lines.join('\r\n') + '\r\n'
}

at('play').addEventListener('click', play)
at('round').addEventListener('click', round)
at('step').addEventListener('click', step)
at('reset').addEventListener('click', reset)
at('rows').addEventListener('click', (event) => {
  event.preventDefault()
  const link = make(document.body, 'a', { href: URL.createObjectURL(new Blob([table()], { type: 'text/csv' })), download: 'interactions.csv' })
  link.click()
  link.remove()
})
const speeds = [...new Set([...SPEEDS, content.speed])].sort((one, other) => one - other)
for (const one of speeds) make(at('speed'), 'option', { value: one }, `${one} ${one === 1 ? 'round' : 'rounds'}/s`)
make(at('speed'), 'option', { value: FULL_SPEED }, 'full speed')
at('speed').value = content.speed
at('speed').addEventListener('change', () => {
  speed = Number(at('speed').value)
})
for (const answer of answers) {
  answer.addEventListener('click', () => {
    for (const other of answers) other.setAttribute('aria-pressed', other === answer)
    draw()
  })
}
addEventListener('keydown', (event) => {
  const idle = event.target === document.body && !event.ctrlKey && !event.metaKey && !event.altKey
  if (!idle || ![' ', 'ArrowRight', 'ArrowDown'].includes(event.key)) return
  event.preventDefault()
  if (event.key === ' ') play()
  else if (!playing && !isOver()) (event.key === 'ArrowRight' ? step : round)()
})
draw()

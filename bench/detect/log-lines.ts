/**
 * Made-up log lines of many kinds of program whose templates are known, for what labelled collections do not hold. A family is written as
 * `WEIGHT statement with {slots}`, one per line; a slot is filled by the function of its name. Seeded: the same lines every time.
 */
import { randomOf } from '../wire.ts'

export interface MadeUpLines {
  readonly family: string
  readonly lines: readonly string[]
  /** Which statement wrote each line. */
  readonly statement: readonly number[]
}

type Random = () => number

const WORDS =
  'amber basin cedar delta ember fjord glade harbor island jasper kestrel lagoon meadow nectar orchard prairie quartz ridge summit tundra umbra valley willow zephyr anchor beacon copper dapple eagle falcon'.split(
    ' ',
  )
const NAMES =
  'root admin ann bob carla dmitri eve farid grace hugo ines jonas kira liam mona nadia oscar pavel quinn rosa stefan tara ulla viktor wanda xenia yusuf zoe guest oracle test backup deploy jenkins'.split(
    ' ',
  )
const STATES = 'IDLE RUNNING DRAINING STOPPED'.split(' ')

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!
}

/** The first ones often, the last ones rarely. */
function skewed<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() ** 2.5 * from.length)]!
}

function whole(random: Random, below: number): number {
  return Math.floor(random() * below)
}

function hex(random: Random, digits: number): string {
  let text = ''
  for (let i = 0; i < digits; i++) text += whole(random, 16).toString(16)
  return text
}

function two(n: number): string {
  return String(n).padStart(2, '0')
}

function clock(random: Random): string {
  return `${two(whole(random, 24))}:${two(whole(random, 60))}:${two(whole(random, 60))}`
}

const DAYS = 'Mon Tue Wed Thu Fri Sat Sun'.split(' ')
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

const SLOTS: Readonly<Record<string, (random: Random) => string>> = {
  n: (r) => String(whole(r, 100_000)),
  small: (r) => String(whole(r, 8)),
  neg: (r) => String(whole(r, 200) - 100),
  float: (r) => (r() * 100).toFixed(whole(r, 3) + 1),
  pid: (r) => String(300 + whole(r, 30_000)),
  ip: (r) => `10.${whole(r, 256)}.${whole(r, 256)}.${whole(r, 256)}`,
  port: (r) => String(1024 + whole(r, 60_000)),
  addr: (r) => `10.0.${whole(r, 9)}.${whole(r, 250)}:${1024 + whole(r, 60_000)}`,
  hex8: (r) => `0x${hex(r, 8)}`,
  hash: (r) => hex(r, 12),
  uuid: (r) => `${hex(r, 8)}-${hex(r, 4)}-4${hex(r, 3)}-a${hex(r, 3)}-${hex(r, 12)}`,
  user: (r) => skewed(r, NAMES),
  daemon: (r) => skewed(r, ['mail', 'news', 'backup']),
  word: (r) => skewed(r, WORDS),
  rare: (r) => `${pick(r, WORDS)}${pick(r, WORDS)}`,
  host: (r) => (r() < 0.5 ? `${pick(r, WORDS)}.${pick(r, WORDS)}.example` : `web-${whole(r, 20)}.${pick(r, WORDS)}.example`),
  machine: (r) => `${pick(r, WORDS)}-${whole(r, 40)}`,
  path: (r) => `/${pick(r, WORDS)}/${pick(r, WORDS)}${r() < 0.3 ? '' : `/${pick(r, WORDS)}`}${r() < 0.5 ? '.log' : ''}`,
  url: (r) => `/${pick(r, WORDS)}${r() < 0.5 ? `/${whole(r, 999)}` : ''}${r() < 0.3 ? `?page=${whole(r, 9)}` : ''}`,
  file: (r) => `${pick(r, WORDS)}.${pick(r, ['yaml', 'json', 'db', 'so'])}`,
  ms: (r) => `${(r() * 900).toFixed(whole(r, 3))} ms`,
  go: (r) =>
    pick(r, [`${(r() * 900).toFixed(3)}µs`, `${(r() * 900).toFixed(2)}ms`, `${(r() * 60).toFixed(1)}s`, `${whole(r, 9)}m${whole(r, 59)}s`]),
  size: (r) => `${(r() * 900).toFixed(1)} ${pick(r, ['KB', 'MB', 'GB'])}`,
  pct: (r) => `${whole(r, 100)}%`,
  iso: (r) => `2026-${two(1 + whole(r, 12))}-${two(1 + whole(r, 28))}T${clock(r)}.${whole(r, 1000)}Z`,
  ctime: (r) => `${pick(r, DAYS)} ${pick(r, MONTHS)} ${String(1 + whole(r, 28)).padStart(2)} ${clock(r)} 2026`,
  day: (r) => `${two(1 + whole(r, 28))}/${pick(r, MONTHS)}/2026:${clock(r)} +0000`,
  bool: (r) => (r() < 0.7 ? 'true' : 'false'),
  flag: (r) => (r() < 0.9 ? 'false' : 'true'),
  class: (r) => `org.${pick(r, WORDS)}.${pick(r, WORDS)}.${upper(pick(r, WORDS))}${upper(pick(r, WORDS))}`,
  package: (r) => `com.${skewed(r, WORDS)}.${skewed(r, WORDS)}${r() < 0.3 ? `.${pick(r, WORDS)}` : ''}`,
  activity: (r) => `com.${skewed(r, WORDS)}.${skewed(r, WORDS)}/.${upper(pick(r, WORDS))}Activity`,
  object: (r) => `${upper(skewed(r, WORDS))}Record{${hex(r, 7)} u0 com.${skewed(r, WORDS)}.${pick(r, WORDS)}}`,
  tag: (r) => skewed(r, ['View Lock', '*launch*', 'WindowManager', 'Audio Mix', 'RILJ', 'NetworkStats']),
  work: (r) => (r() < 0.7 ? 'null' : `WorkSource{${10_000 + whole(r, 200)}}`),
  pod: (r) => `${skewed(r, WORDS)}-${hex(r, 9)}-${hex(r, 5)}`,
  node: (r) => `R${two(whole(r, 64))}-M${whole(r, 2)}-N${whole(r, 16)}-C:J${two(whole(r, 18))}-U${two(whole(r, 12))}`,
  wire: (r) => `${pick(r, ['x', 'y', 'z'])}${pick(r, ['+', '-'])}`,
  block: (r) => `blk_${r() < 0.5 ? '-' : ''}${whole(r, 1e15)}`,
  blocks: (r) => Array.from({ length: 1 + whole(r, 6) }, () => `blk_-${whole(r, 1e15)}`).join(' '),
  table: (r) => `${skewed(r, WORDS)}_${pick(r, ['events', 'orders', 'items', 'users'])}`,
  topic: (r) => `${skewed(r, WORDS)}.${pick(r, ['events', 'commands', 'dlq'])}`,
  device: (r) => pick(r, ['lo', 'eth0', 'eth1', 'wlan0', 'docker0', 'sit0']),
  state: (r) => skewed(r, STATES),
  agent: (r) => pick(r, ['Mozilla/5.0 (X11; Linux x86_64)', 'curl/8.5.0', 'kube-probe/1.31', 'Go-http-client/2.0']),
  sentence: (r) => Array.from({ length: 1 + whole(r, 5) }, () => pick(r, WORDS)).join(' '),
  domain: (r) => `${pick(r, WORDS)}@${pick(r, WORDS)}.example`,
  unit: (r) => `${skewed(r, WORDS)}${r() < 0.3 ? `@${whole(r, 9)}` : ''}.service`,
}

function upper(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1)
}

const FAMILIES: Readonly<Record<string, string>> = {
  sshd: `
    300 Failed password for {user} from {ip} port {port} ssh2
    200 Failed password for invalid user {user} from {ip} port {port} ssh2
    120 Invalid user {user} from {ip}
    110 input_userauth_request: invalid user {user} [preauth]
    200 Received disconnect from {ip}: 11: Bye Bye [preauth]
    160 Connection closed by {ip} [preauth]
    60 Connection closed by authenticating user {user} {ip} port {port} [preauth]
    150 pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}
    120 pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={host}  user=root
    90 pam_unix(sshd:auth): check pass; user unknown
    40 pam_unix(sshd:session): session opened for user {user} by (uid=0)
    38 pam_unix(sshd:session): session closed for user {user}
    40 Accepted publickey for {user} from {ip} port {port} ssh2: RSA SHA256:{hash}
    12 Accepted password for {user} from {ip} port {port} ssh2
    20 reverse mapping checking getaddrinfo for {host} [{ip}] failed - POSSIBLE BREAK-IN ATTEMPT!
    12 Disconnecting: Too many authentication failures for {user} [preauth]
    6 error: maximum authentication attempts exceeded for {user} from {ip} port {port} ssh2 [preauth]
    5 message repeated {small} times: [ Failed password for root from {ip} port {port} ssh2]
    4 Did not receive identification string from {ip}
    3 fatal: Write failed: Connection reset by peer [preauth]
    2 Server listening on 0.0.0.0 port 22.`,
  syslog: `
    180 connection from {ip} () at {ctime}
    60 connection from {ip} ({host}) at {ctime}
    90 authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost={host}
    40 authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost={host}  user={user}
    60 session opened for user {daemon} by (uid=0)
    60 session closed for user {daemon}
    12 New session c{small} of user {daemon}.
    40 (root) CMD (run-parts /etc/cron.{word})
    20 ({user}) CMD ({path} -q {word})
    10 ALERT exited abnormally with [{small}]
    9 {user} : TTY=pts/{small} ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/{word}
    8 Started {unit}.
    8 Stopped {unit}.
    8 Starting {unit}...
    6 {unit}: Main process exited, code=exited, status={small}/FAILURE
    6 {unit}: Consumed {n}ms CPU time.
    5 Received SIGHUP or reload request.
    4 Accepted connection from {ip} port {port}
    3 warning: can't get client address: Connection reset by peer
    2 restart.
    6 named[{pid}]: lame server resolving '{host}' (in '{host}'?): {ip}#53
    5 ANONYMOUS FTP LOGIN FROM {ip}, (anonymous)`,
  kernel: `
    30 EXT4-fs ({word}): mounted filesystem {uuid} r/w with ordered data mode.
    50 audit: type={n} audit({n}.{n}:{n}): pid={pid} uid=0 auid={n} ses={n} msg='op=login acct="{user}" exe="{path}" hostname={host} res=success'
    60 [UFW BLOCK] IN={device} OUT= MAC={hash} SRC={ip} DST={ip} LEN={n} TOS=0x00 PREC=0x00 TTL={n} ID={n} DF PROTO=TCP SPT={port} DPT={port} WINDOW={n} RES=0x00 SYN URGP=0
    10 usb {small}-{small}: new high-speed USB device number {small} using xhci_hcd
    8 usb {small}-{small}: USB disconnect, device number {small}
    12 device {device} entered promiscuous mode
    10 device {device} left promiscuous mode
    9 {device}: link is down
    9 {device}: link is up, 1000 Mbps full duplex
    14 Out of memory: Killed process {pid} ({word}) total-vm:{n}kB, anon-rss:{n}kB, file-rss:{n}kB
    5 BIOS-e820: {hex8} - {hex8} (usable)
    5 BIOS-e820: {hex8} - {hex8} (reserved)
    4 ACPI: PCI Interrupt Link [LNK{word}] (IRQs 3 4 5 6 7 10 11 12) *{small}
    6 CPU{small}: Temperature above threshold, cpu clock throttled (total events = {n})
    6 CPU{small}: Temperature/speed normal
    9 scsi host{small}: {word}
    3 Memory: {n}k/{n}k available ({n}k kernel code, {n}k reserved, {n}k data)
    2 Freeing unused kernel memory: {n}k freed
    2 NET: Registered protocol family {small}
    3 random: crng init done`,
  nginx: `
    300 {ip} - - [{day}] "GET {url} HTTP/1.1" {n} {n} "-" "{agent}"
    90 {ip} - - [{day}] "POST {url} HTTP/1.1" {n} {n} "-" "{agent}"
    20 {ip} - - [{day}] "DELETE {url} HTTP/1.1" {n} {n} "-" "{agent}"
    12 [error] {pid}#{pid}: *{n} open() "{path}" failed (2: No such file or directory), client: {ip}, server: {host}, request: "GET {url} HTTP/1.1", host: "{host}"
    20 [error] {pid}#{pid}: *{n} connect() failed (111: Connection refused) while connecting to upstream, client: {ip}, server: {host}, upstream: "http://{addr}{url}"
    15 [error] {pid}#{pid}: *{n} upstream timed out (110: Connection timed out) while reading response header from upstream, client: {ip}, server: {host}, upstream: "http://{addr}{url}"
    8 [warn] {pid}#{pid}: *{n} a client request body is buffered to a temporary file {path}, client: {ip}, server: {host}
    4 [notice] {pid}#{pid}: signal process started
    4 [notice] {pid}#{pid}: worker process {pid} exited with code {small}
    10 jk2_init() Found child {pid} in scoreboard slot {small}
    9 workerEnv.init() ok {path}
    9 mod_jk child workerEnv in error state {small}
    6 [client {ip}] Directory index forbidden by rule: {path}`,
  redis: `
    40 DB saved on disk
    40 Background saving started by pid {pid}
    40 Background saving terminated with success
    60 {n} changes in {n} seconds. Saving...
    30 RDB: {n} MB of memory used by copy-on-write
    10 Client id={n} addr={addr} laddr={addr} fd={n} name={word} age={n} idle={small} flags=N db=0 cmd={word} scheduled to be closed ASAP for overcoming of output buffer limits.
    8 Replica {addr} asks for synchronization
    6 Partial resynchronization request from {addr} accepted. Sending {n} bytes of backlog starting from offset {n}.
    5 MASTER <-> REPLICA sync started
    5 MASTER <-> REPLICA sync: Finished with success
    4 Connection with replica {addr} lost.
    3 # WARNING overcommit_memory is set to 0!
    3 User requested shutdown...
    20 Accepted {addr}
    20 Client closed connection
    10 DB {small}: {n} keys ({n} volatile) in {n} slots HT.`,
  kafka: `
    60 [GroupCoordinator {small}]: Preparing to rebalance group {word} in state PreparingRebalance with old generation {n} (__consumer_offsets-{small}) (reason: Adding new member {word}-{uuid} with group instance id None)
    60 [GroupCoordinator {small}]: Stabilized group {word} generation {n} (__consumer_offsets-{small}) with {small} members
    50 [GroupCoordinator {small}]: Member {word}-{uuid} in group {word} has failed, removing it from the group
    80 [Partition {topic}-{small} broker={small}] Shrinking ISR from {small},{small},{small} to {small},{small}. Leader: (highWatermark: {n}, endOffset: {n}).
    70 [Partition {topic}-{small} broker={small}] Expanding ISR from {small},{small} to {small},{small},{small}
    70 [Log partition={topic}-{small}, dir={path}] Rolled new log segment at offset {n} in {n} ms.
    40 [Log partition={topic}-{small}, dir={path}] Deleting segment files LogSegment(baseOffset={n}, size={n}, lastModifiedTime={n}, largestRecordTimestamp=Some({n}))
    9 [Controller id={small}] New topics: [Set({topic})], deleted topics: [Set()]
    6 [ReplicaFetcher replicaId={small}, leaderId={small}, fetcherId=0] Truncating partition {topic}-{small} to local high watermark {n}
    5 [SocketServer brokerId={small}] Failed authentication with {ip} (SSL handshake failed)
    40 Creating topic {topic} with configuration {} and initial partition assignment Map(0 -> ArrayBuffer({small}))
    3 [KafkaServer id={small}] started
    3 [KafkaServer id={small}] shutting down`,
  postgres: `
    90 LOG:  checkpoint starting: time
    9 LOG:  checkpoint starting: wal
    90 LOG:  checkpoint complete: wrote {n} buffers ({float}%); 0 WAL file(s) added, {small} removed, {small} recycled; write={float} s, sync={float} s, total={float} s
    60 LOG:  connection received: host={ip} port={port}
    60 LOG:  connection authorized: user={user} database={word} application_name=psql
    50 LOG:  disconnection: session time: 0:{small}:{float} user={user} database={word} host={ip} port={port}
    30 ERROR:  duplicate key value violates unique constraint "{table}_pkey"
    30 DETAIL:  Key (id)=({n}) already exists.
    15 ERROR:  relation "{table}" does not exist at character {n}
    20 LOG:  automatic vacuum of table "{word}.public.{table}": index scans: {small}
    20 LOG:  automatic analyze of table "{word}.public.{table}"
    12 FATAL:  password authentication failed for user "{user}"
    8 FATAL:  role "{user}" does not exist
    8 FATAL:  database "{word}" does not exist
    40 LOG:  duration: {ms}  statement: SELECT * FROM {table} WHERE id = {n}
    5 ERROR:  deadlock detected
    5 DETAIL:  Process {pid} waits for ShareLock on transaction {n}; blocked by process {pid}.
    9 ERROR:  canceling statement due to statement timeout
    9 ERROR:  canceling statement due to user request
    2 LOG:  database system is ready to accept connections
    2 LOG:  received fast shutdown request`,
  dovecot: `
    80 imap-login: Login: user=<{domain}>, method=PLAIN, rip={ip}, lip={ip}, mpid={pid}, TLS, session=<{hash}>
    50 imap({domain})<{pid}><{hash}>: Disconnected: Logged out in={n} out={n} deleted={small} expunged={small} trashed=0 hdr_count={n} hdr_bytes={n} body_count={small} body_bytes={n}
    40 imap-login: Disconnected: Connection closed (auth failed, {small} attempts in {small} secs): user=<{user}>, method=PLAIN, rip={ip}, lip={ip}, TLS, session=<{hash}>
    30 lmtp({domain})<{pid}><{hash}>: msgid=<{hash}@{host}>: saved mail to {word}
    60 {hash}: from=<{domain}>, size={n}, nrcpt={small} (queue active)
    60 {hash}: to=<{domain}>, relay={host}[{ip}]:25, delay={float}, delays={float}/{float}/{float}/{float}, dsn=2.0.0, status=sent (250 2.0.0 OK: queued as {hash})
    20 {hash}: to=<{domain}>, relay=none, delay={float}, delays={float}/{float}/{float}/{float}, dsn=4.4.1, status=deferred (connect to {host}[{ip}]:25: Connection timed out)
    60 {hash}: removed
    50 connect from {host}[{ip}]
    50 disconnect from {host}[{ip}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands={small}
    30 connect from unknown[{ip}]
    15 warning: hostname {host} does not resolve to address {ip}: Name or service not known
    9 NOQUEUE: reject: RCPT from {host}[{ip}]: 554 5.7.1 <{domain}>: Relay access denied; from=<{domain}> to=<{domain}> proto=ESMTP helo=<{word}>
    9 lost connection after AUTH from {host}[{ip}]`,
  java: `
    50 Started {class} in {float} seconds (process running for {float})
    80 HikariPool-{small} - Connection is not available, request timed out after {n}ms (total={small}, active={small}, idle={small}, waiting={n})
    60 Handling request GET {url} for tenant {word}
    30 Handling request POST {url} for tenant {word}
    60 Completed {n} in {n} ms
    30 Could not open JPA EntityManager for transaction; nested exception is {class}: Unable to acquire JDBC Connection
    25 Failed to process order {uuid}: {class}: {word} not found
    20 Servlet.service() for servlet [dispatcherServlet] in context with path [] threw exception [Request processing failed: {class}] with root cause
    20 Registering {class} bean with name '{word}'
    15 Scheduled task {word} finished in {ms}
    15 Scheduled task {word} started
    10 Executor lost: executor {n} on {machine}: Container marked as failed
    40 Task {n} in stage {float} (TID {n}) finished on {machine} (executor {n}) ({small}/{n})
    40 Starting task {float} in stage {float} (TID {n}, {machine}, executor {n}, partition {n}, PROCESS_LOCAL, {n} bytes)
    9 GC overhead: paused {ms}, heap {size} -> {size}
    8 Transition from {state} to {state} for container_{n}_{n}
    5 Shutting down ExecutorService '{word}'`,
  go: `
    60 handled request method=GET path={url} status=200 duration={go} bytes={n}
    20 handled request method=POST path={url} status=201 duration={go} bytes={n}
    30 slow query took {go}: select from {table}
    40 http: TLS handshake error from {addr}: EOF
    20 http: TLS handshake error from {addr}: remote error: tls: bad certificate
    20 dial tcp {addr}: connect: connection refused
    20 dial tcp {addr}: i/o timeout
    15 failed to list *v1.{word}: Get "https://{addr}{url}": context deadline exceeded
    30 leader election lost for {word}/{word}
    30 reconciling {word}/{pod} generation {n}
    25 successfully acquired lease {word}/{word}
    8 config reloaded from {path}
    8 cache miss key={word}:{n} ttl={go}
    5 panic recovered: runtime error: index out of range [{n}] with length {n}
    9 gc {n} @{float}s {small}%: {float}+{float}+{float} ms clock
    6 retrying in {go} (attempt {small}/{small})
    3 server stopped
    3 server started on :{port}`,
  kubernetes: `
    60 Successfully assigned {word}/{pod} to {machine}
    50 Pulling image "{host}/{word}:{hash}"
    50 Successfully pulled image "{host}/{word}:{hash}" in {go} ({go} including waiting)
    50 Created container {word}
    50 Started container {word}
    30 Stopping container {word}
    40 Back-off restarting failed container {word} in pod {pod}_{word}({uuid})
    30 Readiness probe failed: Get "http://{addr}/ready": dial tcp {addr}: connect: connection refused
    25 Liveness probe failed: HTTP probe failed with statuscode: {n}
    20 Scaled up replica set {word}-{hash} to {small} from {small}
    20 Scaled down replica set {word}-{hash} to {small} from {small}
    12 MountVolume.SetUp failed for volume "{word}" : secret "{word}" not found
    12 0/{small} nodes are available: {small} Insufficient cpu, {small} Insufficient memory.
    9 Node {machine} status is now: NodeNotReady
    9 Node {machine} status is now: NodeReady
    6 Evicted pod {pod}: The node was low on resource: memory.
    15 Deleted pod: {pod}
    15 Created pod: {pod}`,
  android: `
    80 acquire lock={n}, flags=0x{small}, tag="{tag}", name={package}, ws={work}, uid={n}, pid={pid}
    80 release lock={n}, flg=0x0, tag="{tag}", name={package}", ws={work}, uid={n}, pid={pid}
    40 ready=true,policy={small},wakefulness={small},wksummary=0x{small},bootcompleted={bool},boostinprogress={flag},mode={flag},manual={n},auto=-1,adj={float}userId=0
    50 setSystemUiVisibility vis={small} mask={small} oldVal={n} newVal={n} diff={small}, stackBounds=Rect(0, 0 - {n}, {n})
    40 printLogs app wtoken = AppToken{{hash} token=Token{{hash} {object}}}, allDrawn= {flag}, startingDisplayed =  {flag}, startingMoved =  {flag}
    30 Skipping AppToken{{hash} token=Token{{hash} {object}}} -- going to hide
    20 Start proc {pid}:{package}/u0a{small} for activity {activity}
    20 Killing {pid}:{package}/u0a{small} (adj {n}): empty #{n}
    30 interceptKey keycode={n} interactive={bool} keyguardActive={flag} policyFlags={n} down = {bool} canceled = {flag}
    30 HBM brightnessIn ={n}
    30 HBM brightnessOut ={n}
    25 Animating brightness: target={n}, rate={n}
    20 Destroying surface Surface(name={activity}) called by {package}.{rare}
    18 visible is {package}
    20 getTasks: caller {n} is using old GET_TASKS but privileged; allowing
    20 notification cancelled by {package} for {user}
    12 onWindowFocusChanged: {bool}
    8 Screen __turned__ on...
    8 Screen __turned__ off...
    9 topActivity: ComponentInfo{{activity}}, isAudioPlaying: {bool}
    9 playSoundEffect effectType: {small}
    6 Looking up provider for {package}
    6 userActivityNoUpdateLocked: eventTime={n}, event={small}, flags=0x0, uid={n}`,
  hdfs: `
    150 Receiving block {block} src: /{addr} dest: /{addr}
    150 BLOCK* NameSystem.addStoredBlock: blockMap updated: {addr} is added to {block} size {n}
    140 PacketResponder {small} for block {block} terminating
    140 Received block {block} of size {n} from /{ip}
    100 BLOCK* NameSystem.delete: {block} is added to invalidSet of {addr}
    100 Deleting block {block} file {path}/{block}
    40 BLOCK* NameSystem.allocateBlock: {path}/part-{n}. {block}
    30 Verification succeeded for {block}
    10 Served block {block} to /{ip}
    40 {addr} Served block {block} to /{ip}
    20 {addr}:Got exception while serving {block} to /{ip}:
    9 BLOCK* ask {addr} to delete {blocks}
    9 BLOCK* ask {addr} to replicate {block} to datanode(s) {addr}
    4 {addr} Starting thread to transfer block {block} to {addr}
    6 writeBlock {block} received exception java.io.IOException: Connection reset by peer
    3 writeBlock {block} received exception java.io.IOException: Could not read from stream`,
  hardware: `
    300 generating core.{n}
    60 instruction cache parity error corrected
    50 {n} double-hummer alignment exceptions
    40 {small} L3 EDRAM error(s) (dcr {hex8}) detected and corrected over {n} seconds
    40 CE sym {small}, at {hex8}, mask {hex8}
    40 ciod: failed to read message prefix on control stream (CioStream socket to {addr}
    30 ciod: Error loading {path}: invalid or missing program image, No such file or directory
    12 ciod: Error loading {path}: not a CNK program image
    20 ciod: LOGIN chdir({path}) failed: No such file or directory
    9 ciod: LOGIN chdir({path}) failed: Input/output error
    30 data TLB error interrupt
    10 data storage interrupt
    20 r{n}={hex8} r{n}={hex8} r{n}={hex8} r{n}={hex8}
    15 iar {hash} dear {hash}
    9 {small} torus receiver {wire} input pipe error(s) (dcr {hex8}) detected and corrected
    9 {small} torus sender {wire} retransmission error(s) (dcr {hex8}) detected and corrected over {n} seconds
    9 critical input interrupt (unit={hex8} bit={hex8}): warning for torus {wire} wire, suppressing further interrupts of same type
    8 machine check enable.....................{small}
    8 imprecise machine check..................{small}
    8 program interrupt: illegal instruction...{small}
    8 program interrupt: trap instruction......{small}
    9 Node card VPD check: missing {node} node, VPD ecid {hash}
    12 Link PGOOD error latched on link card
    9 LinkCard is not fully functional
    9 NodeCard is not fully functional
    8 ido chip status changed: {hash} ip={ip} v={small} t={small} status=M {ctime}
    8 Temperature Over Limit on {node}
    7 rts: kernel terminated for reason {n}
    7 floating point unit exception: {word}
    20 Component State Change: Component "{node}" is in the unavailable state (HWID={n})
    9 boot (command {n})
    9 halt (command {n})`,
  web: `
    90 GET {url} {n} {float} ms - {n}
    30 POST {url} {n} {float} ms - {n}
    9 DELETE {url} {n} {float} ms - {n}
    40 Error: connect ECONNREFUSED {addr}
    30 Error: getaddrinfo ENOTFOUND {host}
    40 User {user} logged in from {ip}
    30 User {user} logged out
    40 order {n} paid by {user} with {word} in {ms}
    20 feature flag {word} enabled for tenant {word}
    20 feature flag {word} disabled for tenant {word}
    20 Slow request: {url} took {ms} (limit {n} ms)
    15 job {word} completed with result "{sentence}"
    15 job {word} failed with reason "{sentence}"
    15 [{iso}] "GET {url} HTTP/1.1" 200 - via_upstream - "-" {n} {n} {n} "{agent}" "{uuid}" "{host}"
    12 sending mail to {domain} with template {word}
    9 websocket {hash} connected
    9 websocket {hash} disconnected
    6 Listening on port {port}
    6 {n} jobs waiting, {n} active, {n} failed
    4 unhandledRejection: TypeError: Cannot read properties of undefined (reading '{word}')`,
}

/** `lines` lines of every family, in a random order that has bursts, as logs have. */
export function madeUpLines(seed: number, lines: number): MadeUpLines[] {
  return Object.entries(FAMILIES).map(([family, text], index) => {
    const random = randomOf(seed * 100 + index + 1)
    const statements = text.trim().split('\n').map(parsed)
    const total = statements.reduce((sum, { weight }) => sum + weight, 0)
    const out: { text: string; statement: number }[] = []
    while (out.length < lines) {
      let left = random() * total
      let statement = 0
      while (left > statements[statement]!.weight && statement < statements.length - 1) left -= statements[statement++]!.weight
      for (let burst = random() < 0.15 ? 1 + whole(random, 8) : 1; burst > 0 && out.length < lines; burst--) {
        out.push({ text: filled(statements[statement]!.text, random), statement })
      }
    }
    return { family, lines: out.map((line) => line.text), statement: out.map((line) => line.statement) }
  })
}

function parsed(line: string): { weight: number; text: string } {
  const [, weight, text] = /^\s*(\d+) (.*)$/.exec(line)!
  return { weight: Number(weight), text: text! }
}

function filled(text: string, random: Random): string {
  return text.replace(/\{(\w+)\}/g, (whole, slot: string) => (Object.hasOwn(SLOTS, slot) ? SLOTS[slot]!(random) : whole))
}

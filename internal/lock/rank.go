package lock

// A Rank is the place of a [Mutex] or an [RWMutex] in the order.
type Rank interface{ rank() int }

// The order, outermost first: who holds a lock takes only such as stand in a
// group further down. Locks of one group are never held together.
type (
	Registry struct{} // server: registry.mu

	Order struct{} // server: channel.order

	Channel struct{} // server: channel.mu
	Users   struct{} // server: userTable.mu

	Session struct{} // server: Session.mu

	Link struct{} // server: link.mu

	Server     struct{} // server: Server.mu
	Rules      struct{} // server: rules.mu
	Sessions   struct{} // server: sessionTable.mu
	Links      struct{} // server: linkTable.mu
	Browsers   struct{} // server: browsers.mu
	Conns      struct{} // server: connTable.mu
	Askers     struct{} // server: askers.mu
	Burden     struct{} // server: burden.mu
	Shard      struct{} // server: shard.mu
	Attributes struct{} // server: attributes.mu
	Counters   struct{} // server: counters.mu
	Lasts      struct{} // server: lasts.mu

	Topics struct{} // client: topics.mu

	Client struct{} // client: Client.mu

	Outbox struct{} // client: outbox.mu

	ClientLink struct{} // client: link.mu

	Flow struct{} // client: flow.mu

	Queue struct{} // client: queue.mu

	Callbacks struct{} // client: callbacks.mu

	Endpoint struct{} // client: endpoint.mu
	Handlers struct{} // client: Client.handlers

	Hub struct{} // internal/hub: Hub.mu

	Receiver struct{} // internal/hub: Receiver.mu

	Conn struct{} // longpoll: exchange.mu, held.mu; transport/memory: exchange.mu, flow.mu

	Dialer struct{} // transport/memory: dialer.mu

	Jar struct{} // client: jar.mu, which transports ask

	Socket struct{} // internal/wire: Socket.mu

	// Those of extensions: what is behind them asks nobody for anything.

	Ack       struct{} // ext/ack: extension.mu
	Clock     struct{} // ext/timesync: Clock.mu
	Questions struct{} // ext/timesync/timesyncserver: questions.mu
	Publishes struct{} // ext/once/onceserver: history.mu
	Replay    struct{} // ext/replay: extension.mu
	Positions struct{} // ext/replay: Memory.mu
	Turns     struct{} // ext/replay/replayserver: history.turns
	Messages  struct{} // ext/replay/replayserver: Memory.mu
	Writes    struct{} // ext/replay/boltstore: Store.mu
	Index     struct{} // ext/replay/boltstore: index.mu
)

// A Long is the place of a [Turn] in the order.
type Long interface{ turn() int }

// The turns, outermost first. All of them come before the locks above.
type (
	Processing struct{} // server: Session.turn, while a payload and its handlers run
	Renewing   struct{} // keypair: KeyPair.mu, while files are read and the log is told

	Shedding struct{} // server: Server.shedding, while hooks hear of sessions that end

	Appending struct{} // ext/replay/replayserver: Memory.appending, around the deliveries

	Delivering struct{} // ext/replay/replayserver: history.mu, while extensions see a message and it is sent

	Reading struct{} // internal/wire: Socket.reading, while a peer is waited for
	Saving  struct{} // ext/replay: file.mu, while the disk is waited for

	Polling struct{} // internal/lull: Bell.turn, while the poller is waited for
)

func (Registry) rank() int   { return 1 }
func (Order) rank() int      { return 2 }
func (Channel) rank() int    { return 3 }
func (Users) rank() int      { return 3 }
func (Session) rank() int    { return 4 }
func (Link) rank() int       { return 5 }
func (Server) rank() int     { return 6 }
func (Rules) rank() int      { return 6 }
func (Sessions) rank() int   { return 6 }
func (Links) rank() int      { return 6 }
func (Browsers) rank() int   { return 6 }
func (Conns) rank() int      { return 6 }
func (Askers) rank() int     { return 6 }
func (Burden) rank() int     { return 6 }
func (Shard) rank() int      { return 6 }
func (Attributes) rank() int { return 6 }
func (Counters) rank() int   { return 6 }
func (Lasts) rank() int      { return 6 }

func (Topics) rank() int     { return 10 }
func (Client) rank() int     { return 11 }
func (Outbox) rank() int     { return 12 }
func (ClientLink) rank() int { return 13 }
func (Flow) rank() int       { return 14 }
func (Queue) rank() int      { return 15 }
func (Callbacks) rank() int  { return 16 }
func (Endpoint) rank() int   { return 17 }
func (Handlers) rank() int   { return 17 }

func (Hub) rank() int      { return 21 }
func (Receiver) rank() int { return 22 }

func (Conn) rank() int   { return 31 }
func (Dialer) rank() int { return 32 }
func (Jar) rank() int    { return 33 }
func (Socket) rank() int { return 34 }

func (Ack) rank() int       { return 41 }
func (Clock) rank() int     { return 41 }
func (Questions) rank() int { return 41 }
func (Publishes) rank() int { return 41 }
func (Replay) rank() int    { return 41 }
func (Positions) rank() int { return 41 }
func (Turns) rank() int     { return 41 }
func (Messages) rank() int  { return 41 }
func (Writes) rank() int    { return 41 }
func (Index) rank() int     { return 41 }

func (Processing) turn() int { return 1 }
func (Renewing) turn() int   { return 1 }
func (Shedding) turn() int   { return 2 }
func (Appending) turn() int  { return 3 }
func (Delivering) turn() int { return 4 }
func (Reading) turn() int    { return 5 }
func (Saving) turn() int     { return 5 }
func (Polling) turn() int    { return 6 }

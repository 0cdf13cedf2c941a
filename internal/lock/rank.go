package lock

// A Rank is a place in the order.
type Rank interface{ rank() int }

// The order, outermost first: who holds a lock takes only such as stand in a
// line further down. Locks in one line are never held together.
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
	Seats      struct{} // server: seats.mu
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

	Conn struct{} // longpoll and transport/memory: a connection's

	Dialer struct{} // transport/memory: dialer.mu

	Jar struct{} // client: jar.mu, which transports ask

	Socket struct{} // internal/wire: Socket.mu
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
func (Seats) rank() int      { return 6 }
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

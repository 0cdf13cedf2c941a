// Command centrifuge is a centrifuge server for a look beside this module's: the
// library that a Go team would take instead, with a protocol of its own. It has
// a module of its own, because nothing else here needs what that brings.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: centrifuge HOST PORT")
	}
	if err := serve(net.JoinHostPort(os.Args[1], os.Args[2])); err != nil {
		log.Fatal(err)
	}
}

func serve(addr string) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(_ centrifuge.PublishEvent, done centrifuge.PublishCallback) {
			done(centrifuge.PublishReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on http://" + addr)
	return http.Serve(ln, centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
}

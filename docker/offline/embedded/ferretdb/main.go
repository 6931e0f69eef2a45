// A MongoDB-wire server for machines without a container registry: FerretDB 1.24 embedded, SQLite behind it.
//
// It asks for a user and a password (SCRAM-SHA-256, SCRAM-SHA-1). A new data directory gets one user, in the database
// admin, from MONGODB_USERNAME and MONGODB_PASSWORD; the commands createUser and updateUser make and change others.
// What it lacks: roles (whoever is in may do everything), transactions, change streams, a limit on connections.
// It serves the laptop target and the tests; production uses MongoDB.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/build/version"
	"github.com/FerretDB/FerretDB/internal/clientconn"
	"github.com/FerretDB/FerretDB/internal/clientconn/connmetrics"
	"github.com/FerretDB/FerretDB/internal/handler/registry"
	"github.com/FerretDB/FerretDB/internal/util/password"
	"github.com/FerretDB/FerretDB/internal/util/state"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "TCP address to serve on")
	data := flag.String("data", "", "directory for the SQLite files (required)")
	flag.Parse()

	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	username, secret := os.Getenv("MONGODB_USERNAME"), os.Getenv("MONGODB_PASSWORD")
	switch {
	case *data == "":
		logger.Error("missing -data: the directory for the SQLite files")
		os.Exit(2)
	case username == "" || secret == "":
		logger.Error("missing MONGODB_USERNAME or MONGODB_PASSWORD: the user that a new data directory gets")
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, logger, *listen, *data, username, secret); err != nil {
		logger.Error("cannot start", "error", err)
		os.Exit(1)
	}
}

// As ferretdb.New does it, which has no setting for users.
func serve(ctx context.Context, logger *slog.Logger, listen, data, username, secret string) error {
	version.Get().Package = "embedded"
	states, err := state.NewProvider("")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	err = states.Update(func(s *state.State) {
		s.DisableTelemetry()
		s.TelemetryLocked = true
	})
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}

	metrics := connmetrics.NewListenerMetrics()
	handler, closeBackend, err := registry.NewHandler("sqlite", &registry.NewHandlerOpts{
		Logger:        logger,
		ConnMetrics:   metrics.ConnMetrics,
		StateProvider: states,
		TCPHost:       listen,
		SetupDatabase: "admin",
		SetupUsername: username,
		SetupPassword: password.WrapPassword(secret),
		SetupTimeout:  10 * time.Second,
		SQLiteURL:     "file:" + data + "/",
		TestOpts: registry.TestOpts{
			CappedCleanupPercentage: 10,
			BatchSize:               100,
			EnableNewAuth:           true,
		},
	})
	if closeBackend != nil {
		defer closeBackend()
	}
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}

	listener, err := clientconn.Listen(&clientconn.NewListenerOpts{
		TCP:     listen,
		Mode:    clientconn.NormalMode,
		Metrics: metrics,
		Handler: handler,
		Logger:  logger,
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	listener.Run(ctx)
	return nil
}

module metadata-batcher/test/bench/go/wire

go 1.26

require (
	github.com/coder/websocket v1.8.14
	github.com/hashicorp/yamux v0.1.2
	metadata-batcher/test/wire/go v0.0.0
	storj.io/drpc v0.0.34
)

require (
	github.com/zeebo/errs v1.2.2 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace metadata-batcher/test/wire/go => ../../../wire/go

module metadata-batcher/test/wire/go

go 1.26

require (
	github.com/coder/websocket v1.8.14
	github.com/hashicorp/yamux v0.1.2
	google.golang.org/protobuf v1.36.11
	storj.io/drpc v1.0.0
)

require github.com/zeebo/errs v1.2.2 // indirect

tool google.golang.org/protobuf/cmd/protoc-gen-go

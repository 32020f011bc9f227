module slipway.dev/testbed/pause

go 1.26

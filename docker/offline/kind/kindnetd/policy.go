package main

import (
	"context"
	"log"
	"strconv"
	"strings"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

const queue = 100

// No table can have it: NFT_NAME_MAXLEN is 256, with the zero at the end.
var impossibleName = strings.Repeat("x", 256)

// enforce runs the policy engine: the kernel hands it the first packet of every connection, it answers with a verdict.
// It would make nftables rules for that by itself, anew with every pod. Where the kernel has no nftables `queue`
// (CONFIG_NFT_QUEUE) they are refused, which the engine only logs; but as the kernel takes the half made chain back, it
// drops whatever waits for a verdict (nf_queue_nf_hook_drop): in each rollout lookups went unanswered. A table's name that
// is refused at once leaves nothing to take back, and queuePods' iptables rules do what the engine's would.
func enforce(ctx context.Context, client kubernetes.Interface, node string) {
	factory := informers.NewSharedInformerFactory(client, 0)
	engine, err := networkpolicy.NewController(
		client,
		factory.Networking().V1().NetworkPolicies(),
		factory.Core().V1().Namespaces(),
		factory.Core().V1().Pods(),
		nil, nil, nil, nil,
		networkpolicy.Config{QueueID: queue, NodeName: node, NFTableName: impossibleName},
	)
	if err != nil {
		log.Fatal(err)
	}
	factory.Start(ctx.Done())
	if err := engine.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// queuePods hands connections from and to this node's pods to the engine. After DNAT and before SNAT, so that it sees
// pods' addresses; not what root on the node sends (the kubelet's probes), and not what has been admitted already.
// While the engine is away, packets are dropped: a policy fails closed.
func queuePods(podCIDR string) error {
	chain := "KIND-NETWORK-POLICY"
	engine := []string{"-j", "NFQUEUE", "--queue-num", strconv.Itoa(queue)}
	return rulesIn("mangle", chain, [][]string{
		{"-m", "owner", "--uid-owner", "0", "-j", "RETURN"},
		{"-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "RETURN"},
		append([]string{"-s", podCIDR}, engine...),
		append([]string{"-d", podCIDR}, engine...),
	}, []string{"-j", chain})
}

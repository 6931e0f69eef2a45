// A stand-in for kindnetd, whose module no registry serves. For each node: the CNI configuration from its podCIDR, routes to
// the other nodes' pods, source NAT for what leaves the pods' network, and NetworkPolicies enforced by
// sigs.k8s.io/kube-network-policies, the engine that kindnetd itself carries (policy.go).
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	every   = 5 * time.Second
	cniFile = "/etc/cni/net.d/10-kindnet.conflist"
	cniConf = `{"cniVersion":"0.3.1","name":"kindnet","plugins":[
{"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","dataDir":"/run/cni-ipam-state","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"%s"}]]},"mtu":1500},
{"type":"portmap","capabilities":{"portMappings":true}}]}
`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	// kube-proxy may not be up yet: kind names the control plane's own address.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	client := kubernetes.NewForConfigOrDie(config)
	enforcing := false
	for {
		node, err := sync(ctx, client)
		if err != nil {
			log.Print(err)
		}
		if node != nil && !enforcing {
			enforcing = true
			go enforce(ctx, client, node.Name)
		}
		if node != nil {
			if err := queuePods(node.Spec.PodCIDR); err != nil {
				log.Print(err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// sync does everything but policies, and answers with this node once it has a pod network.
func sync(ctx context.Context, client kubernetes.Interface) (*v1.Node, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var here *v1.Node
	for i := range nodes.Items {
		node := &nodes.Items[i]
		address := internalAddress(node)
		if address == "" || node.Spec.PodCIDR == "" {
			continue
		}
		if address == os.Getenv("HOST_IP") {
			here = node
			err = configure(node.Spec.PodCIDR)
		} else {
			err = route(node.Spec.PodCIDR, address)
		}
		if err != nil {
			return here, err
		}
	}
	return here, masquerade(strings.Split(os.Getenv("POD_SUBNET"), ","))
}

func internalAddress(node *v1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == v1.NodeInternalIP && !strings.Contains(address.Address, ":") {
			return address.Address
		}
	}
	return ""
}

// configure writes the CNI configuration in one rename, and only when it changed: containerd reads it again each time.
func configure(podCIDR string) error {
	wanted := fmt.Sprintf(cniConf, podCIDR)
	if there, err := os.ReadFile(cniFile); err == nil && string(there) == wanted {
		return nil
	}
	unfinished := "/etc/cni/net.d/.unfinished"
	if err := os.WriteFile(unfinished, []byte(wanted), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, cniFile)
}

func route(podCIDR, via string) error {
	_, destination, err := net.ParseCIDR(podCIDR)
	if err != nil {
		return err
	}
	if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(via)}); err != nil {
		return fmt.Errorf("route %s via %s: %w", destination, via, err)
	}
	return nil
}

func masquerade(podSubnets []string) error {
	chain := "KIND-MASQ-AGENT"
	rules := [][]string{}
	for _, subnet := range podSubnets {
		if !strings.Contains(subnet, ":") {
			rules = append(rules, []string{"-d", subnet, "-j", "RETURN"})
		}
	}
	rules = append(rules, []string{"-j", "MASQUERADE"})
	return rulesIn("nat", chain, rules, []string{"-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", chain})
}

// rulesIn makes a chain with these rules, in this order, and the jump to it from POSTROUTING, where they are missing.
func rulesIn(table, chain string, rules [][]string, jump []string) error {
	_ = iptables(table, "-N", chain) // it may be there
	for _, rule := range rules {
		if err := ensure(table, chain, rule); err != nil {
			return err
		}
	}
	return ensure(table, "POSTROUTING", jump)
}

func ensure(table, chain string, rule []string) error {
	if iptables(table, append([]string{"-C", chain}, rule...)...) == nil {
		return nil
	}
	return iptables(table, append([]string{"-A", chain}, rule...)...)
}

func iptables(table string, arguments ...string) error {
	out, err := exec.Command("iptables", append([]string{"-w", "5", "-t", table}, arguments...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables -t %s %v: %v: %s", table, arguments, err, out)
	}
	return nil
}
